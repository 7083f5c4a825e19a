// AVX2 and FMA: a lane is an output channel, as in avx512.cpp. There is no
// popcount; vpshufb looks up the number of ones of each half byte, and the
// counts are added as bytes as long as they cannot overflow (31 times 8 is
// below 256).
#if defined(__x86_64__)

#include "kernel.h"

#pragma GCC push_options
#pragma GCC target("avx2,fma")

#include <immintrin.h>

namespace mmreact {

namespace avx2 {

constexpr int kLanes = 8;
constexpr int kTile = 2;

typedef float VF __attribute__((vector_size(4 * kLanes)));
typedef int32_t VI __attribute__((vector_size(4 * kLanes)));

inline VF larger(VF a, VF b) { return _mm256_max_ps(a, b); }
inline VF smaller(VF a, VF b) { return _mm256_min_ps(a, b); }

inline VF multiply_add(VF a, VF b, VF c) { return _mm256_fmadd_ps(a, b, c); }

inline uint32_t signs(const VF (&v)[4], const float* threshold) {
  uint32_t bits = 0;
  _Pragma("GCC unroll 4") for (int j = 0; j < 4; ++j) {
    const __m256 above = _mm256_cmp_ps(
        v[j], _mm256_loadu_ps(threshold + j * kLanes), _CMP_GT_OQ);
    bits |= static_cast<uint32_t>(_mm256_movemask_ps(above)) << (j * kLanes);
  }
  return bits;
}

// The number of ones in each byte.
inline __attribute__((always_inline)) __m256i count_bytes(__m256i x) {
  const __m256i low = _mm256_set1_epi8(15);
  const __m256i ones =
      _mm256_setr_epi8(0, 1, 1, 2, 1, 2, 2, 3, 1, 2, 2, 3, 2, 3, 3, 4,  //
                       0, 1, 1, 2, 1, 2, 2, 3, 1, 2, 2, 3, 2, 3, 3, 4);
  return _mm256_add_epi8(
      _mm256_shuffle_epi8(ones, _mm256_and_si256(x, low)),
      _mm256_shuffle_epi8(ones,
                          _mm256_and_si256(_mm256_srli_epi16(x, 4), low)));
}

// The sum of the four bytes of each lane.
inline __attribute__((always_inline)) __m256i add_bytes(__m256i x) {
  return _mm256_madd_epi16(_mm256_maddubs_epi16(x, _mm256_set1_epi8(1)),
                           _mm256_set1_epi16(1));
}

template <int P>
inline __attribute__((always_inline)) void accumulate(
    const uint32_t* const* in, const int64_t* offsets, int runs, int length,
    const uint32_t* weight, VI (&sums)[P][4]) {
  for (int r = 0; r < runs; ++r)
    for (int begin = 0; begin < length; begin += 31) {
      const int end = begin + 31 < length ? begin + 31 : length;
      __m256i bytes[P][4];
      _Pragma("GCC unroll 4") for (int p = 0; p < P; ++p)
          _Pragma("GCC unroll 4") for (int j = 0; j < 4; ++j) bytes[p][j] =
              _mm256_setzero_si256();
      for (int i = begin; i < end; ++i, weight += kBlock) {
        __m256i x[P];
        _Pragma("GCC unroll 4") for (int p = 0; p < P; ++p) x[p] =
            _mm256_set1_epi32(static_cast<int>(in[p][offsets[r] + i]));
        _Pragma("GCC unroll 4") for (int j = 0; j < 4; ++j) {
          const __m256i w = _mm256_loadu_si256(
              reinterpret_cast<const __m256i*>(weight + j * kLanes));
          _Pragma("GCC unroll 4") for (int p = 0; p < P; ++p) bytes[p][j] =
              _mm256_add_epi8(bytes[p][j],
                              count_bytes(_mm256_xor_si256(w, x[p])));
        }
      }
      _Pragma("GCC unroll 4") for (int p = 0; p < P; ++p)
          _Pragma("GCC unroll 4") for (int j = 0; j < 4; ++j) sums[p][j] +=
          reinterpret_cast<VI>(add_bytes(bytes[p][j]));
    }
}

#include "tile.h"

bool supported() {
  return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
}

}  // namespace avx2

extern const Kernel kAvx2;
const Kernel kAvx2 = {"avx2",          avx2::supported, avx2::binary_conv,
                      avx2::real_conv, avx2::pool,      avx2::load};

}  // namespace mmreact

#pragma GCC pop_options

#endif
