#include "tables.h"

#include <algorithm>

#include "../file/error.h"

namespace mmreact {

namespace {

struct Taps {
  int64_t first, last;  // exclusive

  bool operator==(const Taps& o) const {
    return first == o.first && last == o.last;
  }
};

// The taps of a window at `start` that are in an image of n pixels.
Taps taps_inside(int64_t start, int64_t dilation, int64_t kernel, int64_t n) {
  const int64_t first =
      start >= 0 ? 0 : std::min(kernel, (-start + dilation - 1) / dilation);
  const int64_t last =
      start >= n ? 0 : std::min(kernel, (n - 1 - start) / dilation + 1);
  return {first, std::max(first, last)};
}

// The class of each output row or column, and the taps of each class.
std::vector<Taps> classify(int64_t stride, int64_t padding, int64_t dilation,
                           int64_t kernel, int64_t in, int64_t out,
                           std::vector<int32_t>& class_of) {
  std::vector<Taps> classes;
  for (int64_t i = 0; i < out; ++i) {
    const Taps taps = taps_inside(i * stride - padding, dilation, kernel, in);
    // Neighbours mostly are of one class.
    const auto found = std::find(classes.rbegin(), classes.rend(), taps);
    class_of.push_back(static_cast<int32_t>(classes.rend() - found) - 1);
    if (found != classes.rend()) continue;
    class_of.back() = static_cast<int32_t>(classes.size());
    classes.push_back(taps);
  }
  return classes;
}

// How many pixels from each one on are in its row and of its class.
std::vector<uint8_t> count_alike(const std::vector<int32_t>& class_at,
                                 int64_t width) {
  std::vector<uint8_t> alike(class_at.size(), 1);
  for (int64_t i = static_cast<int64_t>(alike.size()) - 2; i >= 0; --i)
    if ((i + 1) % width != 0 && class_at[i] == class_at[i + 1])
      alike[i] = static_cast<uint8_t>(std::min(alike[i + 1] + 1, 255));
  return alike;
}

}  // namespace

BinaryTables binary_tables(const Operation& op, const Pair& padding,
                           const Prepared& p, const Value& in,
                           const Value& out, int64_t row, int64_t pixel) {
  BinaryTables t;
  const bool joined = op.dilation[1] == 1 && p.words == pixel;
  t.length = static_cast<int>(p.words * (joined ? p.kernel[1] : 1));
  for (int64_t ky = 0; ky < p.kernel[0]; ++ky)
    for (int64_t kx = 0; kx < (joined ? 1 : p.kernel[1]); ++kx)
      t.offsets.push_back(ky * op.dilation[0] * row +
                          kx * op.dilation[1] * pixel);
  t.runs = static_cast<int>(t.offsets.size());

  std::vector<int32_t> row_class, column_class;
  const bool image = out.image;
  const auto rows = classify(op.stride[0], padding[0], op.dilation[0],
                             p.kernel[0], in.h, image ? out.h : 1, row_class);
  // Vectors are pixels of one row; each is a window that is all inside.
  const auto columns = image
                           ? classify(op.stride[1], padding[1], op.dilation[1],
                                      p.kernel[1], in.w, out.w, column_class)
                           : std::vector<Taps>{{0, 1}};
  if (!image) column_class.assign(out.n, 0);
  const int64_t block = static_cast<int64_t>(p.blocks.size()) * kBlock;
  const auto across = static_cast<int64_t>(columns.size());
  require(static_cast<int64_t>(rows.size()) * across * block < INT32_MAX,
          "'" + op.name + "' is too large for the native backend");
  for (const int32_t y : row_class)
    for (const int32_t x : column_class)
      t.class_at.push_back(static_cast<int32_t>((y * across + x) * block));
  t.alike = count_alike(t.class_at, static_cast<int64_t>(column_class.size()));
  bool odd = false;
  for (const Taps& y : rows)
    for (const Taps& x : columns) {
      const int64_t valid = (y.last - y.first) * (x.last - x.first);
      const auto taps = static_cast<int32_t>(valid * p.channels);
      const size_t begin = t.start.size();
      t.start.resize(begin + block, -(taps / 2));
      t.half.resize(begin + block, taps % 2 ? 0.5f : 0.f);
      odd |= taps % 2 != 0;
      for (int64_t ky = 0; ky < p.kernel[0]; ++ky)
        for (int64_t kx = 0; kx < p.kernel[1]; ++kx) {
          if (ky >= y.first && ky < y.last && kx >= x.first && kx < x.last)
            continue;
          const int32_t* ones =
              p.ones.data() + (ky * p.kernel[1] + kx) * block;
          for (int64_t i = 0; i < block; ++i) t.start[begin + i] -= ones[i];
        }
    }
  if (!odd) t.half.clear();
  return t;
}

std::vector<uint8_t> inside_table(const RealConv& conv, int64_t height,
                                  int64_t width) {
  const auto fits = [&](int axis, int64_t i, int64_t n) {
    const int64_t start = i * conv.stride[axis] - conv.padding[axis];
    return start >= 0 &&
           start + (conv.kernel[axis] - 1) * conv.dilation[axis] < n;
  };
  std::vector<uint8_t> inside;
  if (conv.spread[0] > 1 || conv.spread[1] > 1) {
    inside.resize(height * width);
    return inside;
  }
  for (int64_t y = 0; y < height; ++y)
    for (int64_t x = 0; x < width; ++x)
      inside.push_back(fits(0, y, conv.height) && fits(1, x, conv.width));
  return inside;
}

std::vector<int32_t> pixel_table(int64_t height, int64_t width, int64_t row,
                                 int64_t pixel) {
  // A single row or column may have any stride.
  require((height - 1) * row + (width - 1) * pixel < INT32_MAX,
          "an image is too large for the native backend");
  std::vector<int32_t> table;
  table.reserve(height * width);
  for (int64_t y = 0; y < height; ++y)
    for (int64_t x = 0; x < width; ++x)
      table.push_back(static_cast<int32_t>(y * row + x * pixel));
  return table;
}

AxisTable axis_table(const Operation& op, int axis, int64_t in, int64_t out) {
  AxisTable table;
  const bool adaptive = op.kind == Kind::kAdaptiveAvgPool2d ||
                        op.kind == Kind::kAdaptiveMaxPool2d;
  const bool average = op.kind == Kind::kAvgPool2d;
  const int64_t kernel = op.kernel[axis], padding = op.padding[axis];
  table.step = op.dilation[axis];
  for (int64_t i = 0; i < out; ++i) {
    if (adaptive) {
      const int64_t first = i * in / out,
                    last = ((i + 1) * in + out - 1) / out;
      table.begin.push_back(static_cast<int32_t>(first));
      table.count.push_back(static_cast<int32_t>(last - first));
      table.divisor.push_back(static_cast<float>(last - first));
      continue;
    }
    const int64_t start = i * op.stride[axis] - padding;
    const Taps taps = taps_inside(start, op.dilation[axis], kernel, in);
    table.begin.push_back(
        static_cast<int32_t>(start + taps.first * op.dilation[axis]));
    table.count.push_back(static_cast<int32_t>(taps.last - taps.first));
    const int64_t padded = std::min(kernel, in + padding - start);
    table.divisor.push_back(static_cast<float>(
        average && op.count_include_pad ? padded : taps.last - taps.first));
  }
  return table;
}

}  // namespace mmreact
