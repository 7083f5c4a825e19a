// AVX-512 without VPOPCNTDQ: see lookup.h. A vector holds the weights of two
// blocks.
#if defined(__x86_64__)

#include <immintrin.h>

#include "target.h"

MMREACT_TARGET("avx512f,avx512bw,avx512dq,avx512vl")

namespace mmreact {

namespace avx512bw {

#include "basics.h"

constexpr int kLanes = 16;
constexpr int kTile = 4;
constexpr int kCount = 4, kGroup = 4;

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

#include "lookup.h"

// Sums of the bytes 0 and 2, and 1 and 3, of each lane, in halves of it.
struct Halves {
  __m512i even, odd;
};

// gcc would add into another register, and copy it back.
inline MMREACT_INLINE void add_bytes(__m512i& sum, __m512i x) {
  asm("vpaddb %1, %0, %0" : "+v"(sum) : "v"(x));
}

// Compilers would load it again for each pixel.
inline MMREACT_INLINE void keep_in_register(__m512i& x) { asm("" : "+v"(x)); }

// Words begin to end of the windows, for G blocks in V vectors.
template <int P, int G, int V>
inline MMREACT_INLINE void count_bytes(const uint8_t* const (&x)[P],
                                       int64_t begin, int64_t end,
                                       const uint8_t* weight, int64_t block,
                                       __m512i (&bytes)[V][P]) {
  unroll<V>([&](auto v) MMREACT_INLINE {
    unroll<P>([&](auto p)
                  MMREACT_INLINE { bytes[v][p] = _mm512_setzero_si512(); });
  });
  for (int64_t i = 8 * begin; i < 8 * end; ++i) {
    const auto load_block = [&](int g) MMREACT_INLINE {
      return _mm256_loadu_si256(
          reinterpret_cast<const __m256i*>(weight + g * block + i * kBlock));
    };
    __m512i w[V];
    unroll<V>([&](auto v) MMREACT_INLINE {
      w[v] = _mm512_castsi256_si512(load_block(2 * v));
      if (2 * v + 1 < G)
        w[v] = _mm512_maskz_inserti64x4(0xFF, w[v], load_block(2 * v + 1), 1);
      keep_in_register(w[v]);
    });
    unroll<P>([&](auto p) MMREACT_INLINE {
      const __m512i table = _mm512_maskz_broadcast_i32x4(
          0xFFFF, _mm_load_si128(reinterpret_cast<const __m128i*>(
                      kTables.bytes + x[p][i])));
      unroll<V>([&](auto v) MMREACT_INLINE {
        const __m512i ones = _mm512_shuffle_epi8(table, w[v]);
        add_bytes(bytes[v][p], ones);
      });
    });
  }
}

// Adds the counts of two blocks, or of one: byte j of lane i is channel
// 8 j + i of the first one, of lane 8 + i of the second one.
template <int P, int G>
inline MMREACT_INLINE void add_channels(const __m512i (&bytes)[4], int g,
                                        int p, VI (&sums)[G][P][2]) {
  unroll<2>([&](auto j) MMREACT_INLINE {
    const __m512i a = bytes[2 * j], b = bytes[2 * j + 1];
    sums[g][p][j] += reinterpret_cast<VI>(
        _mm512_maskz_shuffle_i64x2(0xFF, a, b, 0b01000100));
    if (g + 1 < G)
      sums[g + 1][p][j] += reinterpret_cast<VI>(
          _mm512_maskz_shuffle_i64x2(0xFF, a, b, 0b11101110));
  });
}

template <int P, int G, bool kCoded>
inline MMREACT_INLINE void count(const Windows<P>& windows,
                                 const uint8_t* weight, int64_t block,
                                 VI (&sums)[G][P][2]) {
  constexpr int V = (G + 1) / 2;
  const int words = windows.length;
  for (int64_t first = 0; first < words; first += kHalfWords) {
    const int64_t last =
        first + kHalfWords < words ? first + kHalfWords : words;
    Halves halves[V][P] = {};
    for (int64_t begin = first; begin < last; begin += kByteWords) {
      const int64_t end =
          begin + kByteWords < last ? begin + kByteWords : last;
      __m512i bytes[V][P];
      count_bytes<P, G>(windows.at, begin, end, weight, block, bytes);
      unroll<V>([&](auto v) MMREACT_INLINE {
        unroll<P>([&](auto p) MMREACT_INLINE {
          Halves& sum = halves[v][p];
          sum.even = _mm512_add_epi16(
              sum.even,
              _mm512_and_si512(bytes[v][p], _mm512_set1_epi16(0xFF)));
          sum.odd =
              _mm512_add_epi16(sum.odd, _mm512_srli_epi16(bytes[v][p], 8));
        });
      });
    }
    const __m512i low = _mm512_set1_epi32(0xFFFF);
    unroll<V>([&](auto v) MMREACT_INLINE {
      unroll<P>([&](auto p) MMREACT_INLINE {
        const Halves& h = halves[v][p];
        const __m512i bytes[] = {_mm512_and_si512(h.even, low),
                                 _mm512_and_si512(h.odd, low),
                                 _mm512_maskz_srli_epi32(0xFFFF, h.even, 16),
                                 _mm512_maskz_srli_epi32(0xFFFF, h.odd, 16)};
        add_channels(bytes, 2 * v, p, sums);
      });
    });
  }
}

#include "tile.h"

bool supported() {
  return __builtin_cpu_supports("avx512f") &&
         __builtin_cpu_supports("avx512bw") &&
         __builtin_cpu_supports("avx512dq") &&
         __builtin_cpu_supports("avx512vl");
}

}  // namespace avx512bw

extern const Kernel kAvx512bw;
const Kernel kAvx512bw = {"avx512bw",
                          avx512bw::supported,
                          avx512bw::kCodeBytes,
                          avx512bw::encode_weight,
                          avx512bw::binary_conv,
                          avx512bw::real_conv,
                          avx512bw::pool,
                          avx512bw::load};

}  // namespace mmreact

MMREACT_TARGET_END

#endif
