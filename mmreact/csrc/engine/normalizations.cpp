#include "normalizations.h"

#include <algorithm>
#include <cmath>

#include "rows.h"

namespace mmreact {

namespace {

// Sums side by side, which compilers vectorise as they stand.
struct Sum {
  double sums[8] = {};

  template <class F>
  void add(const float* in, int64_t count, const F& f) {
    int64_t c = 0;
    for (; c + 8 <= count; c += 8)
      for (int i = 0; i < 8; ++i) sums[i] += f(in[c + i]);
    for (int i = 0; c < count; ++c, ++i) sums[i] += f(in[c]);
  }

  double total() const {
    double total = 0;
    for (const double s : sums) total += s;
    return total;
  }
};

// `count` channels of `pixels` pixels, `pitch` floats apart, are normalized.
void normalize(const float* in, int64_t in_pitch, float* out,
               int64_t out_pitch, int64_t pixels, int64_t count,
               const float* weight, const float* bias, double eps) {
  const double number = static_cast<double>(pixels * count);
  Sum sum, squares;
  for (int64_t i = 0; i < pixels; ++i)
    sum.add(in + i * in_pitch, count, [](double x) { return x; });
  const double mean = sum.total() / number;
  for (int64_t i = 0; i < pixels; ++i)
    squares.add(in + i * in_pitch, count,
                [=](double x) { return (x - mean) * (x - mean); });
  const double factor = 1 / std::sqrt(squares.total() / number + eps);
  for (int64_t i = 0; i < pixels; ++i)
    for (int64_t c = 0; c < count; ++c)
      out[i * out_pitch + c] = static_cast<float>(
          (in[i * in_pitch + c] - mean) * factor * weight[c] + bias[c]);
}

}  // namespace

Step group_norm_step(const Operation& op, const Rows& rows, const Value& value,
                     const RealPlace& from, const RealPlace& to) {
  const int64_t pixels = value.pixels(), groups = op.groups;
  const int64_t count = value.c / groups;
  const float *weight = rows.a.data(), *bias = rows.b.data();
  Step step;
  step.units = value.n * groups;
  step.cost = 3.0 * static_cast<double>(value.n * value.c * pixels);
  step.run = [=, eps = op.eps](int64_t first, int64_t last) {
    for (int64_t unit = first; unit < last; ++unit) {
      const int64_t pixel = unit / groups * pixels;
      const int64_t channel = unit % groups * count;
      normalize(from.data + pixel * from.pitch + channel, from.pitch,
                to.data + pixel * to.pitch + channel, to.pitch, pixels, count,
                weight + channel, bias + channel, eps);
    }
  };
  return step;
}

Step layer_norm_step(const Operation& op, const Rows& rows, const Value& value,
                     const RealPlace& from, const RealPlace& to) {
  const float *weight = rows.a.data(), *bias = rows.b.data();
  const Sheet sheet(value);
  return over_rows(
      value,
      [=, eps = op.eps, channels = value.c](int64_t image, int64_t y) {
        for (int64_t x = 0; x < sheet.width; ++x) {
          const int64_t pixel = y * sheet.width + x;
          normalize(at(from, sheet, image, pixel), 0,
                    at(to, sheet, image, pixel), 0, 1, channels, weight, bias,
                    eps);
        }
      },
      3.0);
}

Step softmax_step(const Value& value, const RealPlace& from,
                  const RealPlace& to, bool logarithm) {
  const Sheet sheet(value);
  return over_rows(
      value,
      [=, channels = value.c](int64_t image, int64_t y) {
        for (int64_t x = 0; x < sheet.width; ++x) {
          const int64_t pixel = y * sheet.width + x;
          const float* const in = at(from, sheet, image, pixel);
          float* const out = at(to, sheet, image, pixel);
          const double largest = *std::max_element(in, in + channels);
          double sum = 0;
          for (int64_t c = 0; c < channels; ++c)
            sum += std::exp(in[c] - largest);
          const double shift = largest + std::log(sum);
          for (int64_t c = 0; c < channels; ++c)
            out[c] = static_cast<float>(
                logarithm ? in[c] - shift : std::exp(in[c] - largest) / sum);
        }
      },
      15.0);
}

}  // namespace mmreact
