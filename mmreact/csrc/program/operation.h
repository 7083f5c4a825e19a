// A packed program: the operations of mmreact/packed/ops, whose docstrings
// are the contracts, with all their constants in memory.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "../file/container.h"

namespace mmreact {

enum class Kind {
  kInput,
  kConv2d,
  kConvTranspose2d,
  kLinear,
  kBinaryConv2d,
  kBinaryLinear,
  kSign,
  kAffine,
  kRPReLU,
  kClamp,
  kSigmoid,
  kTanh,
  kAbs,
  kHardsigmoid,
  kHardswish,
  kSiLU,
  kGELU,
  kELU,
  kSoftplus,
  kAdd,
  kMultiply,
  kScale,
  kConcat,
  kSlice,
  kAvgPool2d,
  kMaxPool2d,
  kAdaptiveAvgPool2d,
  kChannelMean,
  kFlatten,
  kPad,
  kCrop,
  kChannelShuffle,
  kGroupNorm,
  kLayerNorm,
  kSoftmax,
  kLogSoftmax,
  kAdaptiveMaxPool2d,
  kResize,
  // Not in files; the planner adds them.
  kUnpack,     // signs as floats
  kRegroup,    // signs, each group of channels in words of its own
  kBroadcast,  // repeated along rows or columns
  kConstant,
};

// What an operation gives: (n, c, h, w), or (n, c) with h = w = 1.
struct Value {
  bool sign = false;
  bool image = true;  // four dimensions, not two
  int64_t n = 1, c = 1, h = 1, w = 1;

  int64_t pixels() const { return h * w; }
  bool same_shape(const Value& other) const {
    return image == other.image && n == other.n && c == other.c &&
           h == other.h && w == other.w;
  }
};

std::string to_string(const Value& value);

using Pair = std::array<int64_t, 2>;

// A constant; which of the vectors is filled depends on its type.
struct Array {
  std::vector<int64_t> shape;
  std::vector<float> real;
  std::vector<uint64_t> words;
  std::vector<uint8_t> bytes;
};

struct Operation {
  Kind kind = Kind::kInput;
  std::string name;
  std::vector<int> inputs;  // indices of operations

  // In the order of the dataclass in packed/ops: weight and bias; weight,
  // scale and shift; threshold and flip; scale and shift; gamma, beta and
  // zeta; factor.
  std::array<Array, 3> arrays;

  Pair stride{1, 1}, padding{0, 0}, output_padding{0, 0}, dilation{1, 1};
  Pair kernel{1, 1}, size{1, 1}, channels{0, 0}, rows{0, 0}, columns{0, 0};
  int64_t groups = 1, in_channels = 0, start = 0, stop = 0;
  bool ceil_mode = false, count_include_pad = true, approximate = false;
  bool bilinear = false, align_corners = false;
  double low = 0, high = 0, alpha = 0, value = 0, eps = 0;
  double vertical = 0, horizontal = 0;
};

struct Program {
  // The first operation stands for the input; each comes after those whose
  // results it takes.
  std::vector<Operation> operations;
  std::array<int64_t, 3> input_shape{};
  int output = 0;
  std::map<std::string, int> by_name;
  // For use without Python.
  std::vector<std::string> classes;
  std::vector<float> mean, std;
  std::string channels;

  // Kind and shape of every result. Throws Error where an operation cannot
  // take the input.
  std::vector<Value> infer(int64_t n, int64_t c, int64_t h, int64_t w) const;
};

// The name of a kind in a file.
const char* name_of(Kind kind);

// Builds a program from a packed file; throws Error if anything is wrong.
Program decode_program(const Container& container);

// Checks what does not depend on the inputs' shapes.
void check(const Operation& op);

// Kind and shape of a result.
Value infer(const Operation& op, const std::vector<Value>& inputs);

}  // namespace mmreact
