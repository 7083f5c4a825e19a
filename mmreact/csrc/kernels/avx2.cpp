// AVX2 and FMA. There is no popcount: see lookup.h.
#if defined(__x86_64__)

#include <immintrin.h>

#include "target.h"

MMREACT_TARGET("avx2,fma")

namespace mmreact {

namespace avx2 {

#include "basics.h"

constexpr int kLanes = 8;
constexpr int kTile = 2;
constexpr int kCount = 4, kGroup = 2;

typedef float VF __attribute__((vector_size(4 * kLanes)));
typedef int32_t VI __attribute__((vector_size(4 * kLanes)));

inline VF larger(VF a, VF b) { return _mm256_max_ps(a, b); }
inline VF smaller(VF a, VF b) { return _mm256_min_ps(a, b); }

inline VF multiply_add(VF a, VF b, VF c) { return _mm256_fmadd_ps(a, b, c); }

inline uint32_t signs(const VF (&v)[4], const float* threshold) {
  uint32_t bits = 0;
  MMREACT_UNROLL
  for (int j = 0; j < 4; ++j) {
    const __m256 above = _mm256_cmp_ps(
        v[j], _mm256_loadu_ps(threshold + j * kLanes), _CMP_GT_OQ);
    bits |= static_cast<uint32_t>(_mm256_movemask_ps(above)) << (j * kLanes);
  }
  return bits;
}

#include "lookup.h"

// Sums of the bytes 0 and 2, and 1 and 3, of each lane, in halves of it.
struct Halves {
  __m256i even, odd;
};

// gcc would add into another register, and copy it back.
inline MMREACT_INLINE void add_bytes(__m256i& sum, __m256i x) {
  asm("vpaddb %1, %0, %0" : "+x"(sum) : "x"(x));
}

// Compilers would load it again for each pixel.
inline MMREACT_INLINE void keep_in_register(__m256i& x) { asm("" : "+x"(x)); }

// Words begin to end of the windows.
template <int P, int G>
inline MMREACT_INLINE void count_bytes(const uint8_t* const (&x)[P],
                                       int64_t begin, int64_t end,
                                       const uint8_t* weight, int64_t block,
                                       __m256i (&bytes)[G][P]) {
  unroll<G>([&](auto g) MMREACT_INLINE {
    unroll<P>([&](auto p)
                  MMREACT_INLINE { bytes[g][p] = _mm256_setzero_si256(); });
  });
  for (int64_t i = 8 * begin; i < 8 * end; ++i) {
    __m256i w[G];
    unroll<G>([&](auto g) MMREACT_INLINE {
      w[g] = _mm256_loadu_si256(
          reinterpret_cast<const __m256i*>(weight + g * block + i * kBlock));
      keep_in_register(w[g]);
    });
    unroll<P>([&](auto p) MMREACT_INLINE {
      const __m256i table = _mm256_broadcastsi128_si256(_mm_load_si128(
          reinterpret_cast<const __m128i*>(kTables.bytes + x[p][i])));
      unroll<G>([&](auto g) MMREACT_INLINE {
        const __m256i ones = _mm256_shuffle_epi8(table, w[g]);
        add_bytes(bytes[g][p], ones);
      });
    });
  }
}

template <int P, int G, bool kCoded>
inline MMREACT_INLINE void count(const Windows<P>& windows,
                                 const uint8_t* weight, int64_t block,
                                 VI (&sums)[G][P][4]) {
  const int words = windows.length;
  __m256i bytes[G][P];
  if (words <= kByteWords) {
    count_bytes<P, G>(windows.at, 0, words, weight, block, bytes);
    unroll<G>([&](auto g) MMREACT_INLINE {
      unroll<P>([&](auto p) MMREACT_INLINE {
        unroll<4>([&](auto j) MMREACT_INLINE {
          sums[g][p][j] += reinterpret_cast<VI>(_mm256_and_si256(
              _mm256_srli_epi32(bytes[g][p], 8 * j), _mm256_set1_epi32(0xFF)));
        });
      });
    });
    return;
  }
  for (int64_t first = 0; first < words; first += kHalfWords) {
    const int64_t last =
        first + kHalfWords < words ? first + kHalfWords : words;
    Halves halves[G][P] = {};
    for (int64_t begin = first; begin < last; begin += kByteWords) {
      const int64_t end =
          begin + kByteWords < last ? begin + kByteWords : last;
      count_bytes<P, G>(windows.at, begin, end, weight, block, bytes);
      unroll<G>([&](auto g) MMREACT_INLINE {
        unroll<P>([&](auto p) MMREACT_INLINE {
          Halves& sum = halves[g][p];
          sum.even = _mm256_add_epi16(
              sum.even,
              _mm256_and_si256(bytes[g][p], _mm256_set1_epi16(0xFF)));
          sum.odd =
              _mm256_add_epi16(sum.odd, _mm256_srli_epi16(bytes[g][p], 8));
        });
      });
    }
    const __m256i low = _mm256_set1_epi32(0xFFFF);
    unroll<G>([&](auto g) MMREACT_INLINE {
      unroll<P>([&](auto p) MMREACT_INLINE {
        const Halves& h = halves[g][p];
        VI(&sum)[4] = sums[g][p];
        sum[0] += reinterpret_cast<VI>(_mm256_and_si256(h.even, low));
        sum[1] += reinterpret_cast<VI>(_mm256_and_si256(h.odd, low));
        sum[2] += reinterpret_cast<VI>(_mm256_srli_epi32(h.even, 16));
        sum[3] += reinterpret_cast<VI>(_mm256_srli_epi32(h.odd, 16));
      });
    });
  }
}

#include "tile.h"

bool supported() {
  return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
}

}  // namespace avx2

extern const Kernel kAvx2;
const Kernel kAvx2 = {"avx2",
                      avx2::supported,
                      avx2::kCodeBytes,
                      avx2::encode_weight,
                      avx2::binary_conv,
                      avx2::real_conv,
                      avx2::pool,
                      avx2::load};

}  // namespace mmreact

MMREACT_TARGET_END

#endif
