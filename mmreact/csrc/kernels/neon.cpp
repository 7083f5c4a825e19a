// NEON: a lane is an output channel, as in avx512.cpp. vcnt sums the ones of
// bytes, and the sums are added as bytes as long as they cannot overflow (31
// times 8 is below 256).
#if defined(__aarch64__)

#include <arm_neon.h>

#include "kernel.h"

namespace mmreact {

namespace neon {

#include "basics.h"

constexpr int kLanes = 4;
constexpr int kTile = 2;
constexpr int kCount = 2, kGroup = 1;
constexpr int kCodeBytes = 4;
constexpr int64_t kCodesFrom = kNoCodes;

typedef float VF __attribute__((vector_size(4 * kLanes)));
typedef int32_t VI __attribute__((vector_size(4 * kLanes)));

// Not vmaxq and vminq, which differ for zeros of two signs.
inline VF larger(VF a, VF b) { return a > b ? a : b; }
inline VF smaller(VF a, VF b) { return a < b ? a : b; }

inline VF multiply_add(VF a, VF b, VF c) {
  return reinterpret_cast<VF>(vfmaq_f32(reinterpret_cast<float32x4_t>(c),
                                        reinterpret_cast<float32x4_t>(a),
                                        reinterpret_cast<float32x4_t>(b)));
}

inline uint32_t signs(const VF (&v)[8], const float* threshold) {
  const uint32x4_t places = {1, 2, 4, 8};
  uint32_t bits = 0;
  MMREACT_UNROLL
  for (int j = 0; j < 8; ++j) {
    const uint32x4_t above = vcgtq_f32(reinterpret_cast<float32x4_t>(v[j]),
                                       vld1q_f32(threshold + j * kLanes));
    bits |= vaddvq_u32(vandq_u32(above, places)) << (j * kLanes);
  }
  return bits;
}

struct Encoder;

void encode_weight(const uint32_t* weight, int64_t words, uint8_t* code) {
  __builtin_memcpy(code, weight, words * kBlock * sizeof *weight);
}

template <int P, int G, bool kCoded>
inline MMREACT_INLINE void count(const Windows<P>& windows,
                                 const uint8_t* weight, int64_t,
                                 VI (&sums)[G][P][8]) {
  const int length = windows.length;
  for (int r = 0; r < windows.runs; ++r)
    for (int begin = 0; begin < length; begin += 31) {
      const int end = begin + 31 < length ? begin + 31 : length;
      uint8x16_t bytes[P][8];
      unroll<P>([&](auto p) MMREACT_INLINE {
        unroll<8>([&](auto j) MMREACT_INLINE { bytes[p][j] = vdupq_n_u8(0); });
      });
      for (int i = begin; i < end; ++i, weight += 4 * kBlock) {
        uint8x16_t x[P];
        unroll<P>([&](auto p) MMREACT_INLINE {
          x[p] = vreinterpretq_u8_u32(
              vld1q_dup_u32(reinterpret_cast<const uint32_t*>(windows.at[p]) +
                            windows.offsets[r] + i));
        });
        unroll<8>([&](auto j) MMREACT_INLINE {
          const uint8x16_t w = vld1q_u8(weight + 4 * j * kLanes);
          unroll<P>([&](auto p) MMREACT_INLINE {
            bytes[p][j] = vaddq_u8(bytes[p][j], vcntq_u8(veorq_u8(w, x[p])));
          });
        });
      }
      unroll<P>([&](auto p) MMREACT_INLINE {
        unroll<8>([&](auto j) MMREACT_INLINE {
          sums[0][p][j] +=
              reinterpret_cast<VI>(vpaddlq_u16(vpaddlq_u8(bytes[p][j])));
        });
      });
    }
}

#include "tile.h"

// Every 64-bit ARM processor has it.
bool supported() { return true; }

}  // namespace neon

extern const Kernel kNeon;
const Kernel kNeon = {"neon",
                      neon::supported,
                      neon::kCodeBytes,
                      neon::encode_weight,
                      neon::binary_conv,
                      neon::real_conv,
                      neon::pool,
                      neon::load};

}  // namespace mmreact

#endif
