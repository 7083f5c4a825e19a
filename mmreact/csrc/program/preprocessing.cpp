#include "preprocessing.h"

#include <algorithm>
#include <array>
#include <optional>
#include <string>
#include <vector>

#include "../file/error.h"

namespace mmreact {

namespace {

using Texts = std::vector<std::string>;
using Size = std::array<int64_t, 2>;  // height, width

constexpr int64_t kMaxEdge = 1 << 14;
constexpr int64_t kMaxPad = 1 << 12;
const Texts kDecoders = {"pillow", "opencv"};
const Texts kChannels = {"rgb", "bgr", "gray"};
const Texts kEdgeModes = {"short", "long", "width", "height"};
const Texts kBoxModes = {"fit", "cover", "stretch", "object"};
const Texts kPillowFilters = {"nearest", "bilinear", "bicubic",
                              "box",     "hamming",  "lanczos"};
const Texts kOpencvFilters = {"nearest", "bilinear", "bicubic", "area",
                              "lanczos"};

bool contains(const Texts& known, const std::string& text) {
  return std::find(known.begin(), known.end(), text) != known.end();
}

std::string choice(const Json& json, const char* name, const Texts& known) {
  const std::string text = json.find(name)->string(name);
  require(contains(known, text),
          std::string(name) + " of the preprocessing is unknown");
  return text;
}

std::vector<int64_t> integers(const Json& json, size_t count, int64_t least,
                              int64_t most, const char* what) {
  const auto entries = json.array(what);
  require(entries.size() == count,
          std::string(what) + " has a wrong number of values");
  std::vector<int64_t> values;
  for (const Json& entry : entries)
    values.push_back(entry.integer(what, least, most));
  return values;
}

std::vector<float> numbers(const Json& json, const char* name, size_t count,
                           double least, double most) {
  const auto entries = json.find(name)->array(name);
  require(entries.size() == count,
          std::string(name) + " does not fit the channels");
  std::vector<float> values;
  for (const Json& entry : entries) {
    const double value = entry.number(name);
    require(value >= least && value <= most,
            std::string(name) + " is out of its range");
    values.push_back(static_cast<float>(value));
  }
  return values;
}

// The size of the result, where it is always the same.
std::optional<Size> check_resize(const Json& json) {
  if (json.type() == Json::Type::kNull) return {};
  require_keys(json, {"mode", "size", "filter", "library"}, "the resizing");
  const std::string mode = json.find("mode")->string("mode");
  const bool box = contains(kBoxModes, mode);
  require(box || contains(kEdgeModes, mode),
          "mode of the resizing is unknown");
  const bool opencv = choice(json, "library", kDecoders) == "opencv";
  choice(json, "filter", opencv ? kOpencvFilters : kPillowFilters);
  const Json size = *json.find("size");
  if (!box) {
    size.integer("size", 1, kMaxEdge);
    return {};
  }
  const auto edges = integers(size, 2, 1, kMaxEdge, "size");
  if (mode == "stretch" || mode == "object") return Size{edges[0], edges[1]};
  return {};
}

// The size of the result of resizing and crop, where it is settled.
std::optional<Size> check_sizes(const Json& json) {
  auto size = check_resize(*json.find("resize"));
  const Json crop = *json.find("crop");
  if (crop.type() == Json::Type::kNull) return size;
  const auto edges = integers(crop, 2, 1, kMaxEdge, "crop");
  if (!size) return Size{edges[0], edges[1]};
  return Size{std::min((*size)[0], edges[0]), std::min((*size)[1], edges[1])};
}

}  // namespace

void decode_preprocessing(const Json& json, Program& program) {
  if (json.type() == Json::Type::kNull) return;
  require_keys(json,
               {"decoder", "resize", "crop", "pad", "mean", "std", "channels"},
               "the preprocessing");
  choice(json, "decoder", kDecoders);
  program.channels = choice(json, "channels", kChannels);
  const size_t channels = program.channels == "gray" ? 1 : 3;
  program.mean = numbers(json, "mean", channels, -1e6, 1e6);
  program.std = numbers(json, "std", channels, 1e-6, 1e6);
  require(static_cast<int64_t>(channels) == program.input_shape[0],
          "the preprocessing does not fit the network's input");
  const auto size = check_sizes(json);
  const auto pad = integers(*json.find("pad"), 4, 0, kMaxPad, "pad");
  if (size)
    program.infer(1, program.input_shape[0], (*size)[0] + pad[1] + pad[3],
                  (*size)[1] + pad[0] + pad[2]);
}

}  // namespace mmreact
