// AVX2 and FMA. There is no popcount, but vpshufb looks up 32 bytes in a table
// of 16. Four bits of a window, xored with four weights, have as many ones as
// a table of these bits says, in which the weights of 32 output channels are
// looked up at once. That takes half the instructions of popcounts that are
// looked up in one table of all half bytes.
#if defined(__x86_64__)

#include "kernel.h"

#pragma GCC push_options
#pragma GCC target("avx2,fma")

#include <immintrin.h>

namespace mmreact {

namespace avx2 {

#include "basics.h"

constexpr int kLanes = 8;
constexpr int kTile = 2;
constexpr int kCount = 4, kGroup = 2;
constexpr int kCodeBytes = 8;
constexpr int64_t kCodesFrom = 0;

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

// The code of four bits of a window is 16 times their value: where in kTables
// the table of their distances to all weights begins.
struct Tables {
  uint8_t bytes[256];
};

constexpr Tables make_tables() {
  Tables tables{};
  for (int x = 0; x < 16; ++x)
    for (int w = 0; w < 16; ++w)
      for (int bit = 0; bit < 4; ++bit)
        tables.bytes[16 * x + w] += (x ^ w) >> bit & 1;
  return tables;
}

alignas(64) constexpr Tables kTables = make_tables();

struct Encoder {
  // Each half byte becomes the upper half of a byte.
  void add(const uint32_t* run, int64_t length, uint8_t* code) {
    const __m128i high = _mm_set1_epi8(static_cast<char>(0xF0));
    int64_t i = 0;
    for (; i + 4 <= length; i += 4) {
      const __m128i x =
          _mm_loadu_si128(reinterpret_cast<const __m128i*>(run + i));
      const __m128i first = _mm_and_si128(_mm_slli_epi16(x, 4), high);
      const __m128i second = _mm_and_si128(x, high);
      __m128i* const out = reinterpret_cast<__m128i*>(code + 8 * i);
      _mm_storeu_si128(out, _mm_unpacklo_epi8(first, second));
      _mm_storeu_si128(out + 1, _mm_unpackhi_epi8(first, second));
    }
    for (; i < length; ++i) {
      uint64_t x = run[i];
      x = (x | x << 16) & 0x0000FFFF0000FFFF;
      x = (x | x << 8) & 0x00FF00FF00FF00FF;
      x = (x << 4 | x << 8) & 0xF0F0F0F0F0F0F0F0;
      __builtin_memcpy(code + 8 * i, &x, sizeof x);
    }
  }
};

// [words][eight times four bits][kBlock], one byte each. Lane i of a vector
// has the channels i, i + 8, i + 16 and i + 24, so that sums need not be
// moved.
void encode_weight(const uint32_t* weight, int64_t words, uint8_t* code) {
  for (int64_t i = 0; i < words; ++i)
    for (int bit = 0; bit < 32; bit += 4)
      for (int lane = 0; lane < kLanes; ++lane)
        for (int j = 0; j < kBlock; j += kLanes)
          *code++ = weight[i * kBlock + j + lane] >> bit & 15;
}

// Sums of the bytes 0 and 2, and 1 and 3, of each lane, in halves of it.
struct Halves {
  __m256i even, odd;
};

// As many words as bytes can sum: 7 times 8 times 4 is below 256.
constexpr int kByteWords = 7;
// And halves: so many times 32 are below 65536.
constexpr int kHalfWords = 290 * kByteWords;

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
      // gcc would load it again for each pixel.
      asm("" : "+x"(w[g]));
    });
    unroll<P>([&](auto p) MMREACT_INLINE {
      const __m256i table = _mm256_broadcastsi128_si256(_mm_load_si128(
          reinterpret_cast<const __m128i*>(kTables.bytes + x[p][i])));
      unroll<G>([&](auto g) MMREACT_INLINE {
        const __m256i ones = _mm256_shuffle_epi8(table, w[g]);
        // gcc would add into another register, and copy it back.
        asm("vpaddb %1, %0, %0" : "+x"(bytes[g][p]) : "x"(ones));
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

#pragma GCC pop_options

#endif
