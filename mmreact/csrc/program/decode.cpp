// From the strings and tensors of a packed file to a program. The rules are
// those of mmreact/packed/file.py.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <set>
#include <variant>

#include "../file/error.h"
#include "../file/json.h"
#include "operation.h"
#include "preprocessing.h"

namespace mmreact {

namespace {

// As in packed/ops.
constexpr int64_t kMaxSize = 1 << 24;
constexpr int64_t kMaxPadding = 1 << 12;
constexpr int64_t kMaxVersion = 1;

struct TensorField {
  const char* name;
  Dtype dtype;
  size_t ndim;
};

// An attribute's type in the file is that of the member it is kept in.
struct AttributeField {
  const char* name;
  std::variant<Pair Operation::*, int64_t Operation::*, bool Operation::*,
               double Operation::*>
      member;
};

struct Schema {
  Kind kind;
  const char* name;
  std::vector<TensorField> tensors;
  std::vector<AttributeField> attributes;
};

const std::vector<Schema>& schemas() {
  const auto real = [](const char* name, size_t ndim = 1) {
    return TensorField{name, Dtype::kF32, ndim};
  };
  const AttributeField stride{"stride", &Operation::stride},
      padding{"padding", &Operation::padding},
      dilation{"dilation", &Operation::dilation},
      kernel{"kernel", &Operation::kernel},
      groups{"groups", &Operation::groups},
      in_channels{"in_channels", &Operation::in_channels},
      ceil_mode{"ceil_mode", &Operation::ceil_mode},
      size{"size", &Operation::size}, rows{"rows", &Operation::rows},
      columns{"columns", &Operation::columns}, eps{"eps", &Operation::eps};
  static const std::vector<Schema> table = {
      {Kind::kConv2d,
       "conv2d",
       {real("weight", 4), real("bias")},
       {stride, padding, dilation, groups}},
      {Kind::kConvTranspose2d,
       "conv_transpose2d",
       {real("weight", 4), real("bias")},
       {stride,
        padding,
        {"output_padding", &Operation::output_padding},
        dilation,
        groups}},
      {Kind::kLinear, "linear", {real("weight", 2), real("bias")}, {}},
      {Kind::kBinaryConv2d,
       "binary_conv2d",
       {{"weight", Dtype::kU64, 4}, real("scale"), real("shift")},
       {stride, padding, dilation, groups, in_channels}},
      {Kind::kBinaryLinear,
       "binary_linear",
       {{"weight", Dtype::kU64, 2}, real("scale"), real("shift")},
       {in_channels}},
      {Kind::kSign, "sign", {real("threshold"), {"flip", Dtype::kU8, 1}}, {}},
      {Kind::kAffine, "affine", {real("scale"), real("shift")}, {}},
      {Kind::kRPReLU,
       "rprelu",
       {real("gamma"), real("beta"), real("zeta")},
       {}},
      {Kind::kClamp,
       "clamp",
       {},
       {{"low", &Operation::low}, {"high", &Operation::high}}},
      {Kind::kSigmoid, "sigmoid", {}, {}},
      {Kind::kTanh, "tanh", {}, {}},
      {Kind::kAbs, "abs", {}, {}},
      {Kind::kHardsigmoid, "hardsigmoid", {}, {}},
      {Kind::kHardswish, "hardswish", {}, {}},
      {Kind::kSiLU, "silu", {}, {}},
      {Kind::kGELU, "gelu", {}, {{"approximate", &Operation::approximate}}},
      {Kind::kELU, "elu", {}, {{"alpha", &Operation::alpha}}},
      {Kind::kSoftplus, "softplus", {}, {}},
      {Kind::kAdd, "add", {}, {}},
      {Kind::kMultiply, "multiply", {}, {}},
      {Kind::kScale, "scale", {real("factor", 3)}, {}},
      {Kind::kConcat, "concat", {}, {}},
      {Kind::kSlice,
       "slice",
       {},
       {{"start", &Operation::start}, {"stop", &Operation::stop}}},
      {Kind::kAvgPool2d,
       "avg_pool2d",
       {},
       {kernel,
        stride,
        padding,
        ceil_mode,
        {"count_include_pad", &Operation::count_include_pad}}},
      {Kind::kMaxPool2d,
       "max_pool2d",
       {},
       {kernel, stride, padding, dilation, ceil_mode}},
      {Kind::kAdaptiveAvgPool2d, "adaptive_avg_pool2d", {}, {size}},
      {Kind::kChannelMean, "channel_mean", {}, {}},
      {Kind::kFlatten, "flatten", {}, {}},
      {Kind::kPad,
       "pad",
       {},
       {{"channels", &Operation::channels},
        rows,
        columns,
        {"value", &Operation::value}}},
      {Kind::kCrop, "crop", {}, {rows, columns, stride}},
      {Kind::kChannelShuffle, "channel_shuffle", {}, {groups}},
      {Kind::kGroupNorm,
       "group_norm",
       {real("weight"), real("bias")},
       {groups, eps}},
      {Kind::kLayerNorm, "layer_norm", {real("weight"), real("bias")}, {eps}},
      {Kind::kSoftmax, "softmax", {}, {}},
      {Kind::kLogSoftmax, "log_softmax", {}, {}},
      {Kind::kAdaptiveMaxPool2d, "adaptive_max_pool2d", {}, {size}},
      {Kind::kResize,
       "resize",
       {},
       {size,
        {"vertical", &Operation::vertical},
        {"horizontal", &Operation::horizontal},
        {"bilinear", &Operation::bilinear},
        {"align_corners", &Operation::align_corners}}}};
  return table;
}

float half_to_float(uint16_t half) {
  const int exponent = half >> 10 & 31, fraction = half & 1023;
  const double magnitude = exponent == 31 ? (fraction ? NAN : INFINITY)
                           : exponent == 0
                               ? std::ldexp(fraction, -24)
                               : std::ldexp(1024 + fraction, exponent - 25);
  return static_cast<float>(half >> 15 ? -magnitude : magnitude);
}

template <class T>
std::vector<T> copy(const RawTensor& raw) {
  std::vector<T> values(static_cast<size_t>(raw.count));
  if (raw.count) std::memcpy(values.data(), raw.data, raw.count * sizeof(T));
  return values;
}

Array read_array(const RawTensor& raw, const TensorField& field, bool half,
                 const std::string& what) {
  require((raw.dtype == field.dtype || (half && raw.dtype == Dtype::kF16)) &&
              raw.shape.size() == field.ndim,
          what + " has a wrong type or number of dimensions");
  Array array;
  array.shape = raw.shape;
  switch (raw.dtype) {
    case Dtype::kU8:
      array.bytes = copy<uint8_t>(raw);
      break;
    case Dtype::kU64:
      array.words = copy<uint64_t>(raw);
      break;
    case Dtype::kF32:
      array.real = copy<float>(raw);
      break;
    case Dtype::kF16:
      array.real.reserve(raw.count);
      for (const uint16_t h : copy<uint16_t>(raw))
        array.real.push_back(half_to_float(h));
  }
  const bool infinite = std::strcmp(field.name, "threshold") == 0;
  const bool good = std::all_of(
      array.real.begin(), array.real.end(),
      [=](float v) { return infinite ? !std::isnan(v) : std::isfinite(v); });
  require(good, what + " holds NaN or infinity");
  return array;
}

bool is_positive(const std::string& name) {
  return name == "stride" || name == "dilation" || name == "kernel" ||
         name == "groups";
}

bool is_padding(const std::string& name) {
  return name == "padding" || name == "output_padding" || name == "rows" ||
         name == "columns" || name == "channels";
}

void read(Pair& pair, const std::string& name, const Json& json,
          const std::string& what) {
  const int64_t most = is_padding(name) ? kMaxPadding : kMaxSize;
  require(json.array(what).size() == 2, what + " is not a pair");
  for (int i = 0; i < 2; ++i)
    pair[i] = json.array(what)[i].integer(what, is_positive(name), most);
}

void read(int64_t& number, const std::string& name, const Json& json,
          const std::string& what) {
  number = json.integer(what, is_positive(name), kMaxSize);
}

void read(bool& flag, const std::string&, const Json& json,
          const std::string& what) {
  flag = json.boolean(what);
}

void read(double& number, const std::string&, const Json& json,
          const std::string& what) {
  number = json.number(what);
  require(std::abs(number) <= static_cast<double>(HUGE_VALF) &&
              std::isfinite(static_cast<float>(number)),
          what + " is too large");
}

void read_attribute(Operation& op, const AttributeField& field,
                    const Json& json) {
  const std::string what = std::string(field.name) + " of '" + op.name + "'";
  std::visit(
      [&](const auto member) { read(op.*member, field.name, json, what); },
      field.member);
}

const std::string& printable(const std::string& text, const char* what) {
  require(!text.empty(), std::string(what) + " is empty");
  for (const unsigned char c : text)
    require(c >= 0x20 && c != 0x7F, std::string(what) + " is not printable");
  return text;
}

Operation decode_operation(const Json& entry, Program& program,
                           const Container& container,
                           std::set<std::string>& unused) {
  require_keys(entry, {"kind", "name", "inputs", "attributes"},
               "an operation");
  const auto kind = entry.find("kind")->string("a kind");
  Operation op;
  op.name = printable(entry.find("name")->string("a name"), "a name");
  const Schema* schema = nullptr;
  for (const Schema& s : schemas())
    if (kind == s.name) schema = &s;
  require(schema != nullptr,
          "'" + op.name + "' is an unknown operation '" + kind + "'");
  op.kind = schema->kind;
  const std::string what = "one of the inputs of '" + op.name + "'";
  for (const Json& input : entry.find("inputs")->array("inputs")) {
    const auto found = program.by_name.find(input.string(what));
    require(found != program.by_name.end(),
            what + " is '" + input.string(what) +
                "', which does not exist or comes later");
    op.inputs.push_back(found->second);
  }
  const Json attributes = *entry.find("attributes");
  std::vector<std::string> keys;
  for (const AttributeField& field : schema->attributes)
    keys.emplace_back(field.name);
  require_keys(attributes, keys, "attributes of '" + op.name + "'");
  for (const AttributeField& field : schema->attributes)
    read_attribute(op, field, *attributes.find(field.name));
  for (size_t i = 0; i < schema->tensors.size(); ++i) {
    const TensorField& field = schema->tensors[i];
    const std::string name = op.name + "." + field.name;
    const auto found = container.tensors.find(name);
    require(found != container.tensors.end() && unused.erase(name),
            "the tensor '" + name + "' is missing");
    const bool half =
        i == 0 && (op.kind == Kind::kConv2d || op.kind == Kind::kLinear);
    op.arrays[i] = read_array(found->second, field, half, name);
  }
  return op;
}

void check_version(const Container& container) {
  const auto text = [&](const char* key) {
    const auto found = container.metadata.find(key);
    return found == container.metadata.end() ? std::string() : found->second;
  };
  require(text("format") == "mmreact-packed",
          "it is a safetensors file, but not a packed network of mmreact");
  const std::string version = text("format_version");
  require(!version.empty() && version.size() < 10 &&
              version.find_first_not_of("0123456789") == version.npos,
          "the format version is not a number");
  const int64_t number = std::stoll(version);
  require(number >= 1 && number <= kMaxVersion,
          "it has format version " + version + "; this mmreact reads " +
              std::to_string(kMaxVersion) + ". A newer one may read it");
}

JsonDocument metadata(const Container& container, const char* name) {
  const auto found = container.metadata.find(name);
  require(found != container.metadata.end(),
          std::string("the metadata has no '") + name + "'");
  return JsonDocument(found->second);
}

// Names of classes, of which there is one for each output, or none.
void decode_classes(const Json& json, const Value& output, Program& program) {
  const auto names = json.array("classes");
  if (names.size() == 0) return;
  require(!output.image && static_cast<uint64_t>(output.c) == names.size(),
          "there are " + std::to_string(names.size()) +
              " names of classes for an output of " + to_string(output));
  for (const Json& name : names)
    program.classes.push_back(name.string("a class"));
}

void check_source(const Json& json) {
  for (const auto& [key, value] : json.object("source"))
    value.string("the source's " + key);
}

}  // namespace

const char* name_of(Kind kind) {
  for (const Schema& s : schemas())
    if (s.kind == kind) return s.name;
  return "input";
}

Program decode_program(const Container& container) {
  check_version(container);
  const JsonDocument document = metadata(container, "program");
  const Json json = document.root();
  Program program;
  program.operations.emplace_back();
  program.operations[0].name = "input";
  program.by_name["input"] = 0;
  require_keys(json, {"input_shape", "operations", "output", "features"},
               "the program");
  const auto& shape = json.find("input_shape")->array("input_shape");
  require(shape.size() == 3, "input_shape is not (C, H, W)");
  for (int i = 0; i < 3; ++i)
    program.input_shape[i] = shape[i].integer("input_shape", 1, kMaxSize);
  std::set<std::string> unused;
  for (const auto& [name, tensor] : container.tensors) unused.insert(name);
  for (const Json& entry : json.find("operations")->array("operations")) {
    Operation op = decode_operation(entry, program, container, unused);
    check(op);
    const int index = static_cast<int>(program.operations.size());
    require(program.by_name.emplace(op.name, index).second,
            "two operations are named '" + op.name + "'");
    program.operations.push_back(std::move(op));
  }
  require(unused.empty(), "no operation has the tensor '" +
                              (unused.empty() ? "" : *unused.begin()) + "'");
  const auto find = [&](const Json& name) {
    const auto found = program.by_name.find(name.string("an output"));
    require(found != program.by_name.end() && found->second != 0,
            "the output '" + name.string("an output") + "' does not exist");
    return found->second;
  };
  program.output = find(*json.find("output"));
  for (const Json& name : json.find("features")->array("features")) find(name);
  const auto values =
      program.infer(1, program.input_shape[0], program.input_shape[1],
                    program.input_shape[2]);
  decode_classes(metadata(container, "classes").root(), values[program.output],
                 program);
  check_source(metadata(container, "source").root());
  decode_preprocessing(metadata(container, "preprocessing").root(), program);
  return program;
}

}  // namespace mmreact
