// AVX-512 with VPOPCNTDQ: a lane is an output channel. Each word of an input
// pixel is broadcast over 16 lanes, so that no sum runs across a vector, and a
// layer of 32 input channels needs one word and no padding. Tiles of 7 pixels
// times 32 channels: 14 sums, two vectors of weights and the broadcast word
// fit the 32 registers, and 7 divides the widths 112, 56, 28, 14 and 7.
#if defined(__x86_64__)

#include "kernel.h"

#pragma GCC push_options
#pragma GCC target( \
    "avx512f,avx512bw,avx512dq,avx512vl,avx512vpopcntdq,prefer-vector-width=512")

#include <immintrin.h>

namespace mmreact {

namespace avx512 {

constexpr int kLanes = 16;
constexpr int kTile = 7;

typedef float VF __attribute__((vector_size(4 * kLanes)));
typedef int32_t VI __attribute__((vector_size(4 * kLanes)));

inline VF larger(VF a, VF b) { return _mm512_maskz_max_ps(0xFFFF, a, b); }
inline VF smaller(VF a, VF b) { return _mm512_maskz_min_ps(0xFFFF, a, b); }

inline VF multiply_add(VF a, VF b, VF c) { return _mm512_fmadd_ps(a, b, c); }

inline uint32_t signs(const VF (&v)[2], const float* threshold) {
  return _mm512_kunpackw(
      _mm512_cmp_ps_mask(v[1], _mm512_loadu_ps(threshold + kLanes),
                         _CMP_GT_OQ),
      _mm512_cmp_ps_mask(v[0], _mm512_loadu_ps(threshold), _CMP_GT_OQ));
}

template <int P>
inline __attribute__((always_inline)) void accumulate(
    const uint32_t* const* in, const int64_t* offsets, int runs, int length,
    const uint32_t* weight, VI (&sums)[P][2]) {
  __m512i sum[P][2];
  _Pragma("GCC unroll 16") for (int p = 0; p < P; ++p) {
    sum[p][0] = reinterpret_cast<__m512i>(sums[p][0]);
    sum[p][1] = reinterpret_cast<__m512i>(sums[p][1]);
  }
  for (int r = 0; r < runs; ++r) {
    const uint32_t* a[P];
    _Pragma("GCC unroll 16") for (int p = 0; p < P; ++p) a[p] =
        in[p] + offsets[r];
    for (int i = 0; i < length; ++i, weight += kBlock) {
      const __m512i w0 = _mm512_loadu_si512(weight);
      const __m512i w1 = _mm512_loadu_si512(weight + kLanes);
      _Pragma("GCC unroll 16") for (int p = 0; p < P; ++p) {
        const __m512i x = _mm512_set1_epi32(static_cast<int>(a[p][i]));
        sum[p][0] = _mm512_add_epi32(
            sum[p][0], _mm512_popcnt_epi32(_mm512_xor_si512(w0, x)));
        sum[p][1] = _mm512_add_epi32(
            sum[p][1], _mm512_popcnt_epi32(_mm512_xor_si512(w1, x)));
      }
    }
  }
  _Pragma("GCC unroll 16") for (int p = 0; p < P; ++p) {
    sums[p][0] = reinterpret_cast<VI>(sum[p][0]);
    sums[p][1] = reinterpret_cast<VI>(sum[p][1]);
  }
}

#include "tile.h"

bool supported() {
  return __builtin_cpu_supports("avx512f") &&
         __builtin_cpu_supports("avx512bw") &&
         __builtin_cpu_supports("avx512dq") &&
         __builtin_cpu_supports("avx512vl") &&
         __builtin_cpu_supports("avx512vpopcntdq");
}

}  // namespace avx512

extern const Kernel kAvx512;
const Kernel kAvx512 = {
    "avx512",          avx512::supported, avx512::binary_conv,
    avx512::real_conv, avx512::pool,      avx512::load};

}  // namespace mmreact

#pragma GCC pop_options

#endif
