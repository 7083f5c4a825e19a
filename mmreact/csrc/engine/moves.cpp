#include "moves.h"

#include <cstring>

#include "rows.h"

namespace mmreact {

namespace {

const uint32_t* at(const BitPlace& place, int64_t image, int64_t y,
                   int64_t x) {
  return place.data + image * place.image + y * place.row + x * place.pixel;
}

bool bit(const uint32_t* words, int64_t channel) {
  return words[channel / 32] >> (channel % 32) & 1;
}

// Offset of channel 0 of a pixel in (N, C, H, W) or (N, C), and the distance
// between channels.
int64_t plain_offset(const Value& v, int64_t image, int64_t y, int64_t x) {
  return v.image ? (image * v.c * v.h + y) * v.w + x : x * v.c;
}

}  // namespace

Step input_step(const float* const& input, const Value& v,
                const RealPlace& to) {
  const float* const* const source = &input;
  return over_rows(v, [=](int64_t image, int64_t y) {
    const float* in = *source + plain_offset(v, image, y, 0);
    float* out = at(to, Sheet(v), image, y * v.w);
    if (v.c == 3 && to.pitch == 3) {
      const float *in1 = in + v.pixels(), *in2 = in1 + v.pixels();
      for (int64_t x = 0; x < v.w; ++x, out += 3)
        out[0] = in[x], out[1] = in1[x], out[2] = in2[x];
      return;
    }
    for (int64_t x = 0; x < v.w; ++x, out += to.pitch)
      for (int64_t c = 0; c < v.c; ++c) out[c] = in[c * v.pixels() + x];
  });
}

Step real_output_step(const Value& v, const RealPlace& from,
                      void* const& output) {
  void* const* const target = &output;
  return over_rows(v, [=](int64_t image, int64_t y) {
    const Sheet sheet(v);
    auto* const out = static_cast<float*>(*target);
    for (int64_t x = 0; x < sheet.width; ++x) {
      const float* in = at(from, sheet, image, y * sheet.width + x);
      float* to = out + plain_offset(v, image, y, x);
      for (int64_t c = 0; c < v.c; ++c) to[c * v.pixels()] = in[c];
    }
  });
}

Step sign_output_step(const Value& v, const BitPlace& from,
                      void* const& output) {
  void* const* const target = &output;
  return over_rows(v, [=](int64_t image, int64_t y) {
    auto* const out = static_cast<int8_t*>(*target);
    for (int64_t x = 0; x < Sheet(v).width; ++x) {
      const uint32_t* in = at(from, image, y, x);
      int8_t* to = out + plain_offset(v, image, y, x);
      for (int64_t c = 0; c < v.c; ++c)
        to[c * v.pixels()] = bit(in, c) ? 1 : -1;
    }
  });
}

Step channel_mean_step(const Value& v, const RealPlace& from,
                       const RealPlace& to) {
  return over_rows(v, [=](int64_t image, int64_t y) {
    const Sheet sheet(v);
    for (int64_t x = 0; x < v.w; ++x) {
      const float* in = at(from, sheet, image, y * v.w + x);
      // Eight sums side by side, which compilers vectorise as they stand.
      float sums[8] = {};
      int64_t c = 0;
      for (; c + 8 <= v.c; c += 8)
        for (int i = 0; i < 8; ++i) sums[i] += in[c + i];
      for (int i = 0; c < v.c; ++c, ++i) sums[i] += in[c];
      float sum = 0;
      for (const float s : sums) sum += s;
      *at(to, sheet, image, y * v.w + x) = sum / static_cast<float>(v.c);
    }
  });
}

Step flatten_step(const Value& v, const RealPlace& from, const RealPlace& to) {
  return over_rows(v, [=](int64_t image, int64_t y) {
    float* const out = to.data + image * to.pitch + y * v.w;
    for (int64_t x = 0; x < v.w; ++x) {
      const float* in = at(from, Sheet(v), image, y * v.w + x);
      for (int64_t c = 0; c < v.c; ++c) out[c * v.pixels() + x] = in[c];
    }
  });
}

Step broadcast_step(const Value& v, const RealPlace& from,
                    const Value& to_value, const RealPlace& to) {
  return over_rows(to_value, [=](int64_t image, int64_t y) {
    for (int64_t x = 0; x < to_value.w; ++x)
      std::memcpy(at(to, Sheet(to_value), image, y * to_value.w + x),
                  at(from, Sheet(v), image,
                     (v.h == 1 ? 0 : y) * v.w + (v.w == 1 ? 0 : x)),
                  v.c * sizeof(float));
  });
}

Step regroup_step(const Value& v, int64_t groups, const BitPlace& from,
                  const BitPlace& to) {
  const int64_t channels = v.c / groups, words = (channels + 31) / 32;
  return over_rows(v, [=](int64_t image, int64_t y) {
    for (int64_t x = 0; x < v.w; ++x) {
      const uint32_t* in = at(from, image, y, x);
      uint32_t* out = const_cast<uint32_t*>(at(to, image, y, x));
      for (int64_t g = 0; g < groups; ++g)
        for (int64_t w = 0; w < words; ++w) {
          uint32_t word = 0;
          for (int64_t c = 32 * w; c < channels && c < 32 * (w + 1); ++c)
            word |= uint32_t{bit(in, g * channels + c)} << (c % 32);
          out[g * words + w] = word;
        }
    }
  });
}

}  // namespace mmreact
