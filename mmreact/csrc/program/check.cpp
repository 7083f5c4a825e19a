// Checks and shapes of operations, as in mmreact/packed/ops.
#include <algorithm>
#include <cmath>
#include <initializer_list>

#include "../file/error.h"
#include "operation.h"

namespace mmreact {

namespace {

constexpr int64_t kMaxSize = 1 << 24;
constexpr int64_t kMaxNumbers = int64_t{1} << 33;
// Sums of signs stay far from the ends of 32-bit integers.
constexpr int64_t kMaxTaps = 1 << 28;

void require(const Operation& op, bool condition, const std::string& message) {
  if (!condition)
    throw Error(std::string(name_of(op.kind)) + " '" + op.name + "' " +
                message);
}

void require_image(const Operation& op, const Value& x) {
  require(op, x.image, "takes (N, C, H, W), got " + to_string(x));
}

int64_t length(const Array& array) { return array.shape[0]; }

void check_rows(const Operation& op, std::initializer_list<int> arrays,
                int64_t count) {
  for (const int i : arrays)
    require(op, length(op.arrays[i]) == count,
            "needs " + std::to_string(count) + " constants of each kind");
}

// Number of words, and zeros behind the last channel.
void check_bits(const Operation& op, int64_t channels) {
  const Array& weight = op.arrays[0];
  const int64_t words = (channels + 63) / 64;
  require(op, weight.shape.back() == words,
          "needs " + std::to_string(words) + " words for " +
              std::to_string(channels) + " channels");
  if (channels % 64 == 0) return;
  uint64_t behind = 0;
  for (size_t i = words - 1; i < weight.words.size(); i += words)
    behind |= weight.words[i] >> (channels % 64);
  require(op, behind == 0, "has bits behind its last channel");
}

void check_weight(const Operation& op) {
  const auto& shape = op.arrays[0].shape;
  int64_t taps = 1;
  for (size_t i = 0; i < shape.size(); ++i) {
    require(op, shape[i] > 0, "has an empty weight");
    if (i > 0) taps *= std::min(shape[i], kMaxTaps);
    require(op, taps <= kMaxTaps, "has too large a weight");
  }
  require(op, shape[0] % op.groups == 0,
          "has " + std::to_string(shape[0]) + " outputs in " +
              std::to_string(op.groups) + " groups");
}

void check_resize(const Operation& op) {
  const bool by_factor = op.size[0] == 0 && op.size[1] == 0;
  const double factors[] = {op.vertical, op.horizontal};
  for (int i = 0; i < 2; ++i)
    require(op,
            by_factor ? factors[i] > 0 && factors[i] < kMaxSize
                      : factors[i] == 0 && op.size[i] > 0,
            "has wrong factors");
  require(op, op.bilinear || !op.align_corners,
          "has align_corners without bilinear");
}

int64_t window_size(const Operation& op, int axis, int64_t n, int64_t kernel) {
  const int64_t stride = op.stride[axis], padding = op.padding[axis];
  const int64_t room = n + 2 * padding - op.dilation[axis] * (kernel - 1) - 1;
  require(op, room >= 0, "has a window larger than its image");
  if (!op.ceil_mode) return room / stride + 1;
  const int64_t size = (room + stride - 1) / stride + 1;
  // As in torch: no window may start in the padding at the end.
  return (size - 1) * stride >= n + padding ? size - 1 : size;
}

Value windows(const Operation& op, const Value& x, int64_t channels,
              int64_t kh, int64_t kw) {
  require_image(op, x);
  return {false,
          true,
          x.n,
          channels,
          window_size(op, 0, x.h, kh),
          window_size(op, 1, x.w, kw)};
}

Value pooled(const Operation& op, const Value& x) {
  for (int i = 0; i < 2; ++i)
    require(op, 2 * op.padding[i] <= op.kernel[i],
            "has too much padding for its windows");
  return windows(op, x, x.c, op.kernel[0], op.kernel[1]);
}

Value broadcast(const Operation& op, const Value& a, const Value& b) {
  const auto fits = [](int64_t m, int64_t n) {
    return m == n || m == 1 || n == 1;
  };
  require(op,
          a.image == b.image && fits(a.n, b.n) && fits(a.c, b.c) &&
              fits(a.h, b.h) && fits(a.w, b.w),
          "cannot combine " + to_string(a) + " and " + to_string(b));
  return {false,
          a.image,
          std::max(a.n, b.n),
          std::max(a.c, b.c),
          std::max(a.h, b.h),
          std::max(a.w, b.w)};
}

void require_channels(const Operation& op, const Value& x, int64_t channels) {
  require(
      op, x.c == channels,
      "is for " + std::to_string(channels) + " channels, got " + to_string(x));
}

Value transposed(const Operation& op, const Value& x) {
  require_image(op, x);
  const auto& shape = op.arrays[0].shape;
  const auto size = [&](int axis, int64_t n) {
    return (n - 1) * op.stride[axis] - 2 * op.padding[axis] +
           op.dilation[axis] * (shape[2 + axis] - 1) +
           op.output_padding[axis] + 1;
  };
  return {false, true, x.n, shape[1] * op.groups, size(0, x.h), size(1, x.w)};
}

Value padded(const Operation& op, const Value& x) {
  const Pair zero{0, 0};
  require(op, x.image || (op.rows == zero && op.columns == zero),
          "takes (N, C, H, W), got " + to_string(x));
  Value y = x;
  y.sign = x.sign && std::abs(op.value) == 1;
  y.c += op.channels[0] + op.channels[1];
  y.h += op.rows[0] + op.rows[1];
  y.w += op.columns[0] + op.columns[1];
  return y;
}

Value cropped(const Operation& op, const Value& x) {
  require_image(op, x);
  Value y = x;
  y.h -= op.rows[0] + op.rows[1];
  y.w -= op.columns[0] + op.columns[1];
  require(op, y.h > 0 && y.w > 0, "cuts off all of " + to_string(x));
  y.h = (y.h - 1) / op.stride[0] + 1;
  y.w = (y.w - 1) / op.stride[1] + 1;
  return y;
}

Value resized(const Operation& op, const Value& x) {
  require_image(op, x);
  Value y = x;
  y.sign = x.sign && !op.bilinear;
  y.h = op.size[0];
  y.w = op.size[1];
  if (y.h == 0 && y.w == 0) {
    y.h = static_cast<int64_t>(static_cast<double>(x.h) * op.vertical);
    y.w = static_cast<int64_t>(static_cast<double>(x.w) * op.horizontal);
  }
  return y;
}

bool takes_signs(Kind kind) {
  switch (kind) {
    case Kind::kSign:
    case Kind::kRPReLU:
    case Kind::kClamp:
    case Kind::kSigmoid:
    case Kind::kTanh:
    case Kind::kAbs:
    case Kind::kHardsigmoid:
    case Kind::kHardswish:
    case Kind::kSiLU:
    case Kind::kGELU:
    case Kind::kELU:
    case Kind::kSoftplus:
    case Kind::kMaxPool2d:
    case Kind::kAdaptiveMaxPool2d:
    case Kind::kSoftmax:
    case Kind::kLogSoftmax:
      return false;
    case Kind::kInput:
    case Kind::kConv2d:
    case Kind::kConvTranspose2d:
    case Kind::kLinear:
    case Kind::kBinaryConv2d:
    case Kind::kBinaryLinear:
    case Kind::kAffine:
    case Kind::kAdd:
    case Kind::kMultiply:
    case Kind::kScale:
    case Kind::kConcat:
    case Kind::kSlice:
    case Kind::kFlatten:
    case Kind::kPad:
    case Kind::kCrop:
    case Kind::kChannelShuffle:
    case Kind::kGroupNorm:
    case Kind::kLayerNorm:
    case Kind::kResize:
    case Kind::kAvgPool2d:
    case Kind::kAdaptiveAvgPool2d:
    case Kind::kChannelMean:
    case Kind::kUnpack:
    case Kind::kRegroup:
    case Kind::kBroadcast:
    case Kind::kConstant:
      return true;
  }
  return true;
}

Value infer_unchecked(const Operation& op, const std::vector<Value>& in) {
  const Value& x = in[0];
  const auto& shape = op.arrays[0].shape;
  Value y = x;
  y.sign = false;
  switch (op.kind) {
    case Kind::kConv2d:
      require_channels(op, x, shape[1] * op.groups);
      return windows(op, x, shape[0], shape[2], shape[3]);
    case Kind::kBinaryConv2d:
      require_channels(op, x, op.in_channels);
      return windows(op, x, shape[0], shape[1], shape[2]);
    case Kind::kLinear:
    case Kind::kBinaryLinear:
      require(op, !x.image, "takes (N, C), got " + to_string(x));
      require_channels(op, x,
                       op.kind == Kind::kLinear ? shape[1] : op.in_channels);
      y.c = shape[0];
      return y;
    case Kind::kSign:
    case Kind::kAffine:
    case Kind::kRPReLU:
      require_channels(op, x, shape[0]);
      y.sign = op.kind == Kind::kSign;
      return y;
    case Kind::kAdd:
    case Kind::kMultiply:
      return broadcast(op, x, in[1]);
    case Kind::kScale:
      require(op,
              x.image && (shape[0] == 1 || shape[0] == x.c) &&
                  (shape[1] == 1 || shape[1] == x.h) &&
                  (shape[2] == 1 || shape[2] == x.w),
              "does not fit " + to_string(x));
      return y;
    case Kind::kConcat:
      y.c = 0;
      for (const Value& v : in) {
        Value same = v;
        same.c = x.c;
        require(op, same.sign == x.sign && same.same_shape(x),
                "cannot join " + to_string(x) + " and " + to_string(v));
        y.c += v.c;
      }
      y.sign = x.sign;
      return y;
    case Kind::kSlice:
      require(op, op.start < op.stop && op.stop <= x.c,
              "takes channels that " + to_string(x) + " does not have");
      y.c = op.stop - op.start;
      y.sign = x.sign;
      return y;
    case Kind::kAvgPool2d:
    case Kind::kMaxPool2d:
      return pooled(op, x);
    case Kind::kAdaptiveAvgPool2d:
    case Kind::kAdaptiveMaxPool2d:
    case Kind::kChannelMean:
      require_image(op, x);
      if (op.kind == Kind::kChannelMean)
        y.c = 1;
      else
        y.h = op.size[0], y.w = op.size[1];
      return y;
    case Kind::kConvTranspose2d:
      require_channels(op, x, shape[0]);
      return transposed(op, x);
    case Kind::kPad:
      return padded(op, x);
    case Kind::kCrop:
      return cropped(op, x);
    case Kind::kChannelShuffle:
      require(op, x.c % op.groups == 0,
              "has groups for other than " + to_string(x));
      return x;
    case Kind::kGroupNorm:
    case Kind::kLayerNorm:
      require_channels(op, x, shape[0]);
      return y;
    case Kind::kResize:
      return resized(op, x);
    case Kind::kSoftmax:
    case Kind::kLogSoftmax:
      return y;
    case Kind::kFlatten:
      return {x.sign, false, x.n, x.c * x.pixels(), 1, 1};
    case Kind::kInput:
    case Kind::kClamp:
    case Kind::kSigmoid:
    case Kind::kTanh:
    case Kind::kAbs:
    case Kind::kHardsigmoid:
    case Kind::kHardswish:
    case Kind::kSiLU:
    case Kind::kGELU:
    case Kind::kELU:
    case Kind::kSoftplus:
    case Kind::kUnpack:
    case Kind::kRegroup:
    case Kind::kBroadcast:
    case Kind::kConstant:
      return y;
  }
  return y;
}

}  // namespace

std::string to_string(const Value& v) {
  std::string text = (v.sign ? "sign " : "real ") + std::to_string(v.n) + "x" +
                     std::to_string(v.c);
  if (v.image) text += "x" + std::to_string(v.h) + "x" + std::to_string(v.w);
  return text;
}

void check(const Operation& op) {
  const bool pair = op.kind == Kind::kAdd || op.kind == Kind::kMultiply;
  require(op,
          op.kind == Kind::kConcat ? !op.inputs.empty()
                                   : op.inputs.size() == (pair ? 2u : 1u),
          "has a wrong number of inputs");
  switch (op.kind) {
    case Kind::kConv2d:
    case Kind::kLinear:
      check_weight(op);
      check_rows(op, {1}, length(op.arrays[0]));
      break;
    case Kind::kBinaryConv2d:
    case Kind::kBinaryLinear:
      check_weight(op);
      check_rows(op, {1, 2}, length(op.arrays[0]));
      require(op, op.in_channels > 0 && op.in_channels % op.groups == 0,
              "has inputs that its groups do not divide");
      check_bits(op, op.in_channels / op.groups);
      break;
    case Kind::kSign:
      check_rows(op, {1}, length(op.arrays[0]));
      for (const uint8_t flip : op.arrays[1].bytes)
        require(op, flip <= 1, "flip must be 0 or 1");
      break;
    case Kind::kConvTranspose2d:
      check_weight(op);
      check_rows(op, {1}, op.arrays[0].shape[1] * op.groups);
      for (int i = 0; i < 2; ++i)
        require(op,
                op.output_padding[i] < std::max(op.stride[i], op.dilation[i]),
                "has too much output_padding");
      break;
    case Kind::kGroupNorm:
    case Kind::kLayerNorm:
      check_rows(op, {1}, length(op.arrays[0]));
      require(op, op.eps > 0, "eps is not positive");
      require(op, length(op.arrays[0]) % op.groups == 0,
              "has channels that its groups do not divide");
      break;
    case Kind::kResize:
      check_resize(op);
      break;
    case Kind::kAffine:
      check_rows(op, {1}, length(op.arrays[0]));
      break;
    case Kind::kRPReLU:
      check_rows(op, {1, 2}, length(op.arrays[0]));
      break;
    case Kind::kClamp:
      require(op, op.low <= op.high, "has low > high");
      break;
    case Kind::kInput:
    case Kind::kSigmoid:
    case Kind::kTanh:
    case Kind::kAbs:
    case Kind::kHardsigmoid:
    case Kind::kHardswish:
    case Kind::kSiLU:
    case Kind::kGELU:
    case Kind::kELU:
    case Kind::kSoftplus:
    case Kind::kAdd:
    case Kind::kMultiply:
    case Kind::kScale:
    case Kind::kConcat:
    case Kind::kSlice:
    case Kind::kFlatten:
    case Kind::kPad:
    case Kind::kCrop:
    case Kind::kChannelShuffle:
    case Kind::kSoftmax:
    case Kind::kLogSoftmax:
    case Kind::kAvgPool2d:
    case Kind::kMaxPool2d:
    case Kind::kAdaptiveAvgPool2d:
    case Kind::kAdaptiveMaxPool2d:
    case Kind::kChannelMean:
    case Kind::kUnpack:
    case Kind::kRegroup:
    case Kind::kBroadcast:
    case Kind::kConstant:
      break;
  }
}

Value infer(const Operation& op, const std::vector<Value>& inputs) {
  for (const Value& v : inputs)
    require(op, !v.sign || takes_signs(op.kind),
            "takes real values, got " + to_string(v));
  const Value y = infer_unchecked(op, inputs);
  int64_t numbers = 1;
  for (const int64_t size : {y.n, y.c, y.h, y.w}) {
    require(op, size > 0 && size <= kMaxNumbers / numbers,
            "gives " + to_string(y));
    numbers *= size;
  }
  return y;
}

std::vector<Value> Program::infer(int64_t n, int64_t c, int64_t h,
                                  int64_t w) const {
  for (const int64_t size : {n, c, h, w})
    mmreact::require(size > 0 && size <= kMaxSize,
                     "an input's sizes must be positive");
  mmreact::require(c == input_shape[0],
                   "the network takes " + std::to_string(input_shape[0]) +
                       " channels, got " + std::to_string(c));
  std::vector<Value> values(operations.size());
  values[0] = {false, true, n, c, h, w};
  for (size_t i = 1; i < operations.size(); ++i) {
    std::vector<Value> inputs;
    for (const int input : operations[i].inputs)
      inputs.push_back(values[input]);
    values[i] = mmreact::infer(operations[i], inputs);
  }
  return values;
}

}  // namespace mmreact
