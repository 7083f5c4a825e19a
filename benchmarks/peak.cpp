// What one core of this machine can do at most, as one line of JSON: 1-bit
// multiply-accumulates as the kernels of mmreact/csrc compute them (xor, count
// ones, add; or look ones up, add), and those of real and 8-bit networks, all
// in registers, in GMAC/s; then how fast floats are read, changed and written
// back, in GB/s.
//
// All loops over sums are unrolled, or these would not stay in registers. The
// popcounting ones have the shape of a kernel's inner one: words of input
// pixels are read anew each time and broadcast over lanes, which are output
// channels. What they count is checked.
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <chrono>
#include <vector>

#if !defined(__x86_64__)
#error "Only loops for x86-64 are here: write those of this processor."
#endif
#include <immintrin.h>

namespace {

constexpr int kSteps = 4000;
constexpr int kPixels = 7;
constexpr int kWords = 64;

uint32_t words[kPixels];
alignas(64) uint32_t weights[kWords];
// Of four bits each.
uint8_t codes[kPixels];
alignas(64) uint8_t nibbles[128];
alignas(64) __m128i tables[16];

// Lets the compiler neither keep words in registers nor merge two steps.
inline void forget() { asm volatile("" ::: "memory"); }

// The tile of avx512.cpp: 7 pixels times 2 vectors.
__attribute__((target("avx512f,avx512vpopcntdq"), noinline)) uint64_t
ones_avx512() {
  const __m512i w0 = _mm512_load_si512(weights);
  const __m512i w1 = _mm512_load_si512(weights + 16);
  __m512i sum[kPixels][2] = {};
  for (int step = 0; step < kSteps; ++step) {
    forget();
#pragma GCC unroll 7
    for (int p = 0; p < kPixels; ++p) {
      const __m512i x = _mm512_set1_epi32(static_cast<int>(words[p]));
      sum[p][0] = _mm512_add_epi32(
          sum[p][0], _mm512_popcnt_epi32(_mm512_xor_si512(w0, x)));
      sum[p][1] = _mm512_add_epi32(
          sum[p][1], _mm512_popcnt_epi32(_mm512_xor_si512(w1, x)));
    }
  }
  uint64_t total = 0;
#pragma GCC unroll 7
  for (int p = 0; p < kPixels; ++p)
    total += static_cast<uint32_t>(
        _mm512_reduce_add_epi32(_mm512_add_epi32(sum[p][0], sum[p][1])));
  return total;
}

// The same by an adder of each bit, which avx512.cpp explains: of encoded
// words, only every second vector is counted. 7 pixels times one vector.
__attribute__((target("avx512f,avx512vpopcntdq"), noinline)) uint64_t
added_avx512() {
  constexpr int kCarry = 0b01110100;
  __m512i carries[kPixels] = {}, parity[kPixels] = {};
  for (int step = 0; step < kSteps; ++step) {
    forget();
    const __m512i w0 = _mm512_load_si512(weights);
    const __m512i w1 = _mm512_load_si512(weights + 16);
#pragma GCC unroll 7
    for (int p = 0; p < kPixels; ++p) {
      const __m512i u =
          _mm512_xor_si512(w0, _mm512_set1_epi32(static_cast<int>(words[p])));
      const __m512i v = _mm512_xor_si512(
          w1, _mm512_set1_epi32(static_cast<int>(words[kPixels - 1 - p])));
      const __m512i carry = _mm512_popcnt_epi32(
          _mm512_ternarylogic_epi32(parity[p], u, v, kCarry));
      // gcc would add into another register, and copy it back.
      asm("vpaddd %1, %0, %0" : "+v"(carries[p]) : "v"(carry));
      parity[p] = v;
    }
  }
  uint64_t total = 0;
#pragma GCC unroll 7
  for (int p = 0; p < kPixels; ++p)
    total += static_cast<uint32_t>(_mm512_reduce_add_epi32(
        _mm512_add_epi32(_mm512_add_epi32(carries[p], carries[p]),
                         _mm512_popcnt_epi32(parity[p]))));
  return total;
}

// How the kernels for AVX2 and AVX-512 without VPOPCNTDQ look ones up: four
// bits of a pixel choose a table, in which those of the weights are looked up.
// Sums are bytes, which are emptied before they overflow.
constexpr int kRun = 50;
static_assert(kSteps % kRun == 0 && kRun * 4 < 256, "bytes hold a run");

// The tile of avx2.cpp: 4 pixels times 2 vectors of channels.
__attribute__((target("avx2"), noinline)) uint64_t ones_avx2() {
  constexpr int kRows = 4, kVectors = 2;
  __m256i total = _mm256_setzero_si256();
  for (int step = 0; step < kSteps; step += kRun) {
    __m256i sum[kRows][kVectors] = {};
    for (int i = 0; i < kRun; ++i) {
      forget();
      const __m256i* const w = reinterpret_cast<const __m256i*>(nibbles);
      const __m256i w0 = _mm256_load_si256(w), w1 = _mm256_load_si256(w + 1);
#pragma GCC unroll 4
      for (int p = 0; p < kRows; ++p) {
        const __m256i table =
            _mm256_broadcastsi128_si256(_mm_load_si128(tables + codes[p]));
        sum[p][0] = _mm256_add_epi8(sum[p][0], _mm256_shuffle_epi8(table, w0));
        sum[p][1] = _mm256_add_epi8(sum[p][1], _mm256_shuffle_epi8(table, w1));
      }
    }
#pragma GCC unroll 4
    for (int p = 0; p < kRows; ++p)
#pragma GCC unroll 2
      for (int j = 0; j < kVectors; ++j)
        total = _mm256_add_epi64(
            total, _mm256_sad_epu8(sum[p][j], _mm256_setzero_si256()));
  }
  uint64_t parts[4];
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(parts), total);
  return parts[0] + parts[1] + parts[2] + parts[3];
}

// The tile of avx512bw.cpp: 4 pixels times 2 vectors of channels.
__attribute__((target("avx512f,avx512bw"), noinline)) uint64_t
ones_avx512bw() {
  constexpr int kRows = 4, kVectors = 2;
  __m512i total = _mm512_setzero_si512();
  for (int step = 0; step < kSteps; step += kRun) {
    __m512i sum[kRows][kVectors] = {};
    for (int i = 0; i < kRun; ++i) {
      forget();
      const __m512i w0 = _mm512_load_si512(nibbles);
      const __m512i w1 = _mm512_load_si512(nibbles + 64);
#pragma GCC unroll 4
      for (int p = 0; p < kRows; ++p) {
        const __m512i table =
            _mm512_broadcast_i32x4(_mm_load_si128(tables + codes[p]));
        sum[p][0] = _mm512_add_epi8(sum[p][0], _mm512_shuffle_epi8(table, w0));
        sum[p][1] = _mm512_add_epi8(sum[p][1], _mm512_shuffle_epi8(table, w1));
      }
    }
#pragma GCC unroll 4
    for (int p = 0; p < kRows; ++p)
#pragma GCC unroll 2
      for (int j = 0; j < kVectors; ++j)
        total = _mm512_add_epi64(
            total, _mm512_sad_epu8(sum[p][j], _mm512_setzero_si512()));
  }
  return _mm512_reduce_add_epi64(total);
}

// What ones_avx512 must give.
uint64_t counted() {
  uint64_t ones = 0;
  for (int p = 0; p < kPixels; ++p)
    for (int i = 0; i < 32; ++i)
      ones += kSteps * __builtin_popcount(words[p] ^ weights[i]);
  return ones;
}

// And added_avx512, whose words encode their xors with those before.
uint64_t added() {
  uint64_t ones = 0;
  for (int p = 0; p < kPixels; ++p)
    for (int i = 0; i < 16; ++i) {
      const uint32_t u = words[p] ^ weights[i];
      const uint32_t v = words[kPixels - 1 - p] ^ weights[16 + i];
      ones += __builtin_popcount(u) +
              (2 * kSteps - 1) * uint64_t(__builtin_popcount(u ^ v));
    }
  return ones;
}

// And the others, of so many bytes of weights.
uint64_t looked_up(int bytes) {
  uint64_t ones = 0;
  for (int p = 0; p < 4; ++p)
    for (int i = 0; i < bytes; ++i)
      ones += kSteps * __builtin_popcount(codes[p] ^ nibbles[i]);
  return ones;
}

__attribute__((target("avx512f"), noinline)) uint64_t real_avx512() {
  __m512 sum[14];
#pragma GCC unroll 14
  for (int i = 0; i < 14; ++i) sum[i] = _mm512_set1_ps(float(i));
  const __m512 w = _mm512_set1_ps(0.5f);
  for (int step = 0; step < kSteps; ++step) {
    forget();
#pragma GCC unroll 14
    for (int i = 0; i < 14; ++i) sum[i] = _mm512_fmadd_ps(sum[i], w, w);
  }
  float total = 0;
#pragma GCC unroll 14
  for (int i = 0; i < 14; ++i) total += _mm512_reduce_add_ps(sum[i]);
  return static_cast<uint64_t>(total);
}

__attribute__((target("avx2,fma"), noinline)) uint64_t real_avx2() {
  __m256 sum[14];
#pragma GCC unroll 14
  for (int i = 0; i < 14; ++i) sum[i] = _mm256_set1_ps(float(i));
  const __m256 w = _mm256_set1_ps(0.5f);
  for (int step = 0; step < kSteps; ++step) {
    forget();
#pragma GCC unroll 14
    for (int i = 0; i < 14; ++i) sum[i] = _mm256_fmadd_ps(sum[i], w, w);
  }
  float total = 0;
#pragma GCC unroll 14
  for (int i = 0; i < 14; ++i) total += _mm256_cvtss_f32(sum[i]);
  return static_cast<uint64_t>(total);
}

__attribute__((target("avx512f,avx512vnni"), noinline)) uint64_t
int8_avx512() {
  __m512i sum[14];
#pragma GCC unroll 14
  for (int i = 0; i < 14; ++i) sum[i] = _mm512_set1_epi32(i);
  const __m512i w = _mm512_load_si512(weights);
  for (int step = 0; step < kSteps; ++step) {
    forget();
#pragma GCC unroll 14
    for (int i = 0; i < 14; ++i) sum[i] = _mm512_dpbusd_epi32(sum[i], w, w);
  }
  uint64_t total = 0;
#pragma GCC unroll 14
  for (int i = 0; i < 14; ++i)
    total += static_cast<uint32_t>(_mm512_reduce_add_epi32(sum[i]));
  return total;
}

void change(float* v, size_t count) {
  for (size_t i = 0; i < count; ++i) v[i] = v[i] * 0.5f + 1.f;
}

__attribute__((target("avx512f,prefer-vector-width=512"), noinline)) void
change_avx512(float* v, size_t count) {
  for (size_t i = 0; i < count; ++i) v[i] = v[i] * 0.5f + 1.f;
}

// Seconds of the fastest call within half a second.
template <class F>
double fastest(F&& f) {
  using Clock = std::chrono::steady_clock;
  const auto begin = Clock::now();
  double best = 1e9;
  for (auto start = begin; start - begin < std::chrono::milliseconds(500);) {
    f();
    const auto end = Clock::now();
    const double s = std::chrono::duration<double>(end - start).count();
    if (s < best) best = s;
    start = end;
  }
  return best;
}

const char* separator = "";

void print(const char* name, double value) {
  printf("%s\"%s\": %.4g", separator, name, value);
  separator = ", ";
}

volatile uint64_t sink;

void print_gmacs(const char* name, uint64_t (*loop)(), double macs) {
  print(name, macs * kSteps / fastest([=] { sink = loop(); }) / 1e9);
}

}  // namespace

int main() {
  for (int i = 0; i < kPixels; ++i) words[i] = 2654435761u * (i + 1);
  for (int i = 0; i < kWords; ++i) weights[i] = 2246822519u * (i + 3);
  for (int i = 0; i < kPixels; ++i) codes[i] = words[i] >> 28;
  for (int i = 0; i < 128; ++i) nibbles[i] = weights[i % kWords] >> 27 & 15;
  for (int x = 0; x < 16; ++x) {
    uint8_t distance[16];
    for (int w = 0; w < 16; ++w) distance[w] = __builtin_popcount(x ^ w);
    memcpy(tables + x, distance, sizeof distance);
  }
  __builtin_cpu_init();
  const bool avx2 = __builtin_cpu_supports("avx2");
  const bool avx512 = __builtin_cpu_supports("avx512f");
  const bool popcount = __builtin_cpu_supports("avx512vpopcntdq");
  const bool bytes = __builtin_cpu_supports("avx512bw");
  if ((popcount && ones_avx512() != counted()) ||
      (popcount && added_avx512() != added()) ||
      (bytes && ones_avx512bw() != looked_up(128)) ||
      (avx2 && ones_avx2() != looked_up(64))) {
    fprintf(stderr, "a loop counts wrongly\n");
    return 1;
  }
  printf("{\"gmacs\": {");
  if (popcount) {
    print_gmacs("avx512", added_avx512, kPixels * 16 * 64);
    print_gmacs("avx512, plain", ones_avx512, kPixels * 32 * 32);
  }
  if (bytes) print_gmacs("avx512bw", ones_avx512bw, 4 * 2 * 64 * 4);
  if (avx2) print_gmacs("avx2", ones_avx2, 4 * 2 * 32 * 4);
  if (__builtin_cpu_supports("avx512vnni"))
    print_gmacs("int8 (VNNI, AVX-512)", int8_avx512, 14 * 64);
  if (avx512) print_gmacs("fp32 (FMA, AVX-512)", real_avx512, 14 * 16);
  if (avx2 && __builtin_cpu_supports("fma"))
    print_gmacs("fp32 (FMA, AVX2)", real_avx2, 14 * 8);
  printf("}, \"gigabytes\": {");
  separator = "";
  for (const size_t kilobytes : {16, 256, 8192}) {
    std::vector<float> floats(kilobytes * 256, 1.f);
    const double seconds = fastest([&] {
      (avx512 ? change_avx512 : change)(floats.data(), floats.size());
      forget();
    });
    char name[32];
    snprintf(name, sizeof name, "%d KiB", int(kilobytes));
    print(name, 2 * 1024. * kilobytes / seconds / 1e9);
  }
  printf("}}\n");
}
