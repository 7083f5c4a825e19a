// AVX-512 with VPOPCNTDQ: a lane is an output channel. Each word of an input
// pixel is broadcast over 16 lanes, so that no sum runs across a vector, and a
// layer of 32 input channels needs one word and no padding. Tiles of 7 pixels
// times 32 channels: 14 sums, two vectors of weights and the broadcast word
// fit the 32 registers, and 7 divides the widths 112, 56, 28, 14 and 7.
#if defined(__x86_64__)

#include <immintrin.h>

#include "target.h"

MMREACT_TARGET("avx512f,avx512bw,avx512dq,avx512vl,avx512vpopcntdq")

namespace mmreact {

namespace avx512 {

#include "basics.h"

constexpr int kLanes = 16;
constexpr int kTile = 7;
constexpr int kCount = 7, kGroup = 1;
constexpr int kCodeBytes = 4;
constexpr int64_t kCodesFrom = 37;

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

// Encoded are the xors of all words up to each one. The number of ones in
// words x_1 ^ w_1, x_2 ^ w_2... is counted by an adder of each bit, whose
// state, the parity of the bits so far, then is u_i = X_i ^ W_i of the encoded
// words. Two more bits, u_i ^ u_i+1 and u_i+1 ^ u_i+2, give a carry that is a
// function of three words, so one instruction, and only every second vector is
// counted: 5 instructions for two words, where xor, popcount and add are 6.
constexpr int kCarry = 0b01110100;

struct Encoder {
  uint32_t all = 0;

  void add(const uint32_t* run, int64_t length, uint8_t* code) {
    uint32_t* const out = reinterpret_cast<uint32_t*>(code);
    if (length < 12) {
      for (int64_t i = 0; i < length; ++i) out[i] = all ^= run[i];
      return;
    }
    const __m512i zero = _mm512_setzero_si512();
    for (int64_t i = 0; i < length; i += kLanes) {
      const int64_t count = length - i < kLanes ? length - i : kLanes;
      const __mmask16 some = static_cast<__mmask16>((1 << count) - 1);
      __m512i x = _mm512_maskz_loadu_epi32(some, run + i);
      x = _mm512_xor_si512(x, _mm512_maskz_alignr_epi32(0xFFFF, x, zero, 15));
      x = _mm512_xor_si512(x, _mm512_maskz_alignr_epi32(0xFFFF, x, zero, 14));
      x = _mm512_xor_si512(x, _mm512_maskz_alignr_epi32(0xFFFF, x, zero, 12));
      x = _mm512_xor_si512(x, _mm512_maskz_alignr_epi32(0xFFFF, x, zero, 8));
      x = _mm512_xor_si512(x, _mm512_set1_epi32(static_cast<int>(all)));
      _mm512_mask_storeu_epi32(out + i, some, x);
      // Behind the last word the xors stay as they are.
      all = static_cast<uint32_t>(
          _mm_extract_epi32(_mm512_maskz_extracti32x4_epi32(15, x, 3), 3));
    }
  }
};

// [half of the block][words][kLanes]
inline void encode_weight(const uint32_t* weight, int64_t words,
                          uint8_t* code) {
  for (int j = 0; j < kBlock; j += kLanes) {
    __m512i all = _mm512_setzero_si512();
    for (int64_t i = 0; i < words; ++i, code += 64) {
      const __m512i w = _mm512_loadu_si512(weight + i * kBlock + j);
      all = words < kCodesFrom ? w : _mm512_xor_si512(all, w);
      _mm512_storeu_si512(code, all);
    }
  }
}

// gcc would add into another register, and copy it back.
inline MMREACT_INLINE void add_lanes(__m512i& sum, __m512i x) {
  asm("vpaddd %1, %0, %0" : "+v"(sum) : "v"(x));
}

// Compilers would load it again for each pixel.
inline MMREACT_INLINE void keep_in_register(__m512i& x) { asm("" : "+v"(x)); }

// Popcounts of P pixels times kLanes channels.
template <int P>
inline MMREACT_INLINE void count_codes(const Windows<P>& windows,
                                       const uint8_t* weight, int half,
                                       __m512i (&sums)[P][2]) {
  const int words = windows.length;
  const uint32_t* x[P];
  unroll<P>([&](auto p) MMREACT_INLINE {
    x[p] = reinterpret_cast<const uint32_t*>(windows.at[p]);
  });
  const uint32_t* w = reinterpret_cast<const uint32_t*>(weight);
  __m512i carries[P], parity[P];
  unroll<P>([&](auto p) MMREACT_INLINE {
    carries[p] = parity[p] = _mm512_setzero_si512();
  });
  int i = 0;
  if (words % 2) {
    const __m512i w0 = _mm512_loadu_si512(w);
    unroll<P>([&](auto p) MMREACT_INLINE {
      parity[p] =
          _mm512_xor_si512(w0, _mm512_set1_epi32(static_cast<int>(x[p][0])));
    });
    i = 1, w += kLanes;
  }
  const auto add = [&](int k) MMREACT_INLINE {
    __m512i w0 = _mm512_loadu_si512(w + k * kLanes);
    __m512i w1 = _mm512_loadu_si512(w + (k + 1) * kLanes);
    keep_in_register(w0);
    keep_in_register(w1);
    unroll<P>([&](auto p) MMREACT_INLINE {
      const __m512i u = _mm512_xor_si512(
          w0, _mm512_set1_epi32(static_cast<int>(x[p][i + k])));
      const __m512i v = _mm512_xor_si512(
          w1, _mm512_set1_epi32(static_cast<int>(x[p][i + k + 1])));
      const __m512i carry = _mm512_popcnt_epi32(
          _mm512_ternarylogic_epi32(parity[p], u, v, kCarry));
      add_lanes(carries[p], carry);
      parity[p] = v;
    });
  };
  for (; i + 4 <= words; i += 4, w += 4 * kLanes) {
    add(0);
    add(2);
  }
  if (i < words) add(0);
  unroll<P>([&](auto p) MMREACT_INLINE {
    const __m512i twice = _mm512_add_epi32(carries[p], carries[p]);
    const __m512i count =
        _mm512_add_epi32(twice, _mm512_popcnt_epi32(parity[p]));
    sums[p][half] = _mm512_add_epi32(sums[p][half], count);
  });
}

// The same of words that are not encoded, for both halves of a block.
template <int P>
inline MMREACT_INLINE void count_words(const Windows<P>& windows,
                                       const uint8_t* weight,
                                       __m512i (&sums)[P][2]) {
  const int64_t half = int64_t{windows.runs} * windows.length * 64;
  for (int r = 0; r < windows.runs; ++r) {
    const uint32_t* x[P];
    unroll<P>([&](auto p) MMREACT_INLINE {
      x[p] = reinterpret_cast<const uint32_t*>(windows.at[p]) +
             windows.offsets[r];
    });
    for (int i = 0; i < windows.length; ++i, weight += 64) {
      const __m512i w0 = _mm512_loadu_si512(weight);
      const __m512i w1 = _mm512_loadu_si512(weight + half);
      unroll<P>([&](auto p) MMREACT_INLINE {
        const __m512i word = _mm512_set1_epi32(static_cast<int>(x[p][i]));
        sums[p][0] = _mm512_add_epi32(
            sums[p][0], _mm512_popcnt_epi32(_mm512_xor_si512(w0, word)));
        sums[p][1] = _mm512_add_epi32(
            sums[p][1], _mm512_popcnt_epi32(_mm512_xor_si512(w1, word)));
      });
    }
  }
}

template <int P, int G, bool kCoded>
inline MMREACT_INLINE void count(const Windows<P>& windows,
                                 const uint8_t* weight, int64_t,
                                 VI (&sums)[G][P][2]) {
  __m512i all[P][2];
  unroll<P>([&](auto p) MMREACT_INLINE {
    unroll<2>([&](auto j) MMREACT_INLINE {
      all[p][j] = reinterpret_cast<__m512i>(sums[0][p][j]);
    });
  });
  if constexpr (kCoded) {
    count_codes<P>(windows, weight, 0, all);
    count_codes<P>(windows, weight + int64_t{windows.length} * 64, 1, all);
  } else {
    count_words<P>(windows, weight, all);
  }
  unroll<P>([&](auto p) MMREACT_INLINE {
    unroll<2>([&](auto j) MMREACT_INLINE {
      sums[0][p][j] = reinterpret_cast<VI>(all[p][j]);
    });
  });
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
const Kernel kAvx512 = {"avx512",
                        avx512::supported,
                        avx512::kCodeBytes,
                        avx512::encode_weight,
                        avx512::binary_conv,
                        avx512::real_conv,
                        avx512::pool,
                        avx512::load};

}  // namespace mmreact

MMREACT_TARGET_END

#endif
