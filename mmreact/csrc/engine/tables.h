// Tables that a step reads, made for one shape.
#pragma once

#include <vector>

#include "prepare.h"

namespace mmreact {

// Where the words of a window lie, and what each output pixel's sum begins
// with, by the taps that are in the image.
struct BinaryTables {
  std::vector<int64_t> offsets;
  int runs = 0, length = 0;
  Aligned<int32_t> start;
  std::vector<int32_t> class_at;
  Aligned<float> half;  // empty if it is 0 everywhere
  std::vector<uint8_t> alike;
};

// `row` and `pixel` are the strides of the input in words.
BinaryTables binary_tables(const Operation& op, const Pair& padding,
                           const Prepared& p, const Value& in,
                           const Value& out, int64_t row, int64_t pixel);

// Which windows of real values are wholly in the image.
std::vector<uint8_t> inside_table(const RealConv& conv, int64_t height,
                                  int64_t width);

// y row + x pixel for all pixels of an image. Throws Error if that is too
// large.
std::vector<int32_t> pixel_table(int64_t height, int64_t width, int64_t row,
                                 int64_t pixel);

// Of a pooling, along rows (0) or columns (1).
struct AxisTable {
  std::vector<int32_t> begin, count;
  std::vector<float> divisor;
  int64_t step = 1;

  Axis axis() const {
    return {begin.data(), count.data(), divisor.data(), step};
  }
};

AxisTable axis_table(const Operation& op, int axis, int64_t in, int64_t out);

}  // namespace mmreact
