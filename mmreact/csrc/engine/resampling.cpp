#include "resampling.h"

#include <algorithm>
#include <cmath>
#include <memory>

#include "rows.h"

namespace mmreact {

namespace {

// Two rows and the weight of the second one, for each of the result.
struct Between {
  int64_t first, second;
  float weight;
};

using Line = std::vector<Between>;

Line between(double factor, bool align_corners, int64_t n, int64_t out) {
  Line line(out);
  const double size = static_cast<double>(n);
  const double step = align_corners ? (size - 1) / std::max<double>(1, out - 1)
                      : factor != 0 ? 1 / factor
                                    : size / static_cast<double>(out);
  for (int64_t i = 0; i < out; ++i) {
    double place = static_cast<double>(i);
    if (out != n)
      place = align_corners ? place * step
                            : std::max((place + 0.5) * step - 0.5, 0.0);
    const int64_t first = std::min(static_cast<int64_t>(place), n - 1);
    line[i] = {
        first, std::min(first + 1, n - 1),
        static_cast<float>(std::min(place - static_cast<double>(first), 1.0))};
  }
  return line;
}

}  // namespace

std::vector<int32_t> nearest(double factor, int64_t n, int64_t out) {
  std::vector<int32_t> map(out);
  const float step = factor != 0
                         ? static_cast<float>(1 / factor)
                         : static_cast<float>(n) / static_cast<float>(out);
  for (int64_t i = 0; i < out; ++i) {
    const float place = std::floor(static_cast<float>(i) * step);
    map[i] = static_cast<int32_t>(
        out == n ? i : std::min(static_cast<int64_t>(place), n - 1));
  }
  return map;
}

Step bilinear_step(const Operation& op, const Value& in, const RealPlace& from,
                   const Value& out, const RealPlace& to) {
  const auto rows = std::make_shared<const Line>(
      between(op.vertical, op.align_corners, in.h, out.h));
  const auto columns = std::make_shared<const Line>(
      between(op.horizontal, op.align_corners, in.w, out.w));
  return over_rows(
      out,
      [=](int64_t image, int64_t y) {
        const Sheet source(in), sheet(out);
        const Between& v = (*rows)[y];
        for (int64_t x = 0; x < out.w; ++x) {
          const Between& h = (*columns)[x];
          const float* const top = at(from, source, image, v.first * in.w);
          const float* const bottom = at(from, source, image, v.second * in.w);
          const float* const a = top + h.first * from.pitch;
          const float* const b = top + h.second * from.pitch;
          const float* const c = bottom + h.first * from.pitch;
          const float* const d = bottom + h.second * from.pitch;
          float* const pixel = at(to, sheet, image, y * out.w + x);
          const float w = 1 - h.weight, u = 1 - v.weight;
          for (int64_t i = 0; i < out.c; ++i)
            pixel[i] = u * (w * a[i] + h.weight * b[i]) +
                       v.weight * (w * c[i] + h.weight * d[i]);
        }
      },
      1.5);
}

}  // namespace mmreact
