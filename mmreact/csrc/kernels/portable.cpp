// The kernel that runs everywhere: vectors of four lanes, which compilers turn
// into what the machine has, and popcounts by arithmetic.
#include "kernel.h"

namespace mmreact {

namespace portable {

#include "basics.h"

constexpr int kLanes = 4;
constexpr int kTile = 1;
constexpr int kCount = 1, kGroup = 1;
constexpr int kCodeBytes = 4;
constexpr int64_t kCodesFrom = kNoCodes;

typedef float VF __attribute__((vector_size(4 * kLanes)));
typedef int32_t VI __attribute__((vector_size(4 * kLanes)));
typedef uint32_t VU __attribute__((vector_size(4 * kLanes)));

inline VF larger(VF a, VF b) { return a > b ? a : b; }
inline VF smaller(VF a, VF b) { return a < b ? a : b; }

// Slow where the processor has no such instruction, but exact.
inline VF multiply_add(VF a, VF b, VF c) {
  VF sum;
  for (int i = 0; i < kLanes; ++i) sum[i] = __builtin_fmaf(a[i], b[i], c[i]);
  return sum;
}

inline uint32_t signs(const VF (&v)[kBlock / kLanes], const float* threshold) {
  uint32_t bits = 0;
  for (int i = 0; i < kBlock; ++i)
    bits |= uint32_t{v[i / kLanes][i % kLanes] > threshold[i]} << i;
  return bits;
}

// The number of ones in each byte.
inline VU count_bytes(VU x) {
  x -= x >> 1 & 0x55555555;
  x = (x & 0x33333333) + (x >> 2 & 0x33333333);
  return (x + (x >> 4)) & 0x0F0F0F0F;
}

struct Encoder;

void encode_weight(const uint32_t* weight, int64_t words, uint8_t* code) {
  __builtin_memcpy(code, weight, words * kBlock * sizeof *weight);
}

template <int P, int G, bool kCoded>
inline void count(const Windows<P>& windows, const uint8_t* weight, int64_t,
                  VI (&sums)[G][P][kBlock / kLanes]) {
  for (int p = 0; p < P; ++p)
    for (int j = 0; j < kBlock / kLanes; ++j) {
      VU sum{};
      const uint8_t* w = weight + 4 * j * kLanes;
      for (int r = 0; r < windows.runs; ++r) {
        const uint8_t* const run = windows.at[p] + 4 * windows.offsets[r];
        for (int i = 0; i < windows.length; ++i, w += 4 * kBlock) {
          VU x;
          uint32_t word;
          __builtin_memcpy(&x, w, sizeof x);
          __builtin_memcpy(&word, run + 4 * i, sizeof word);
          const VU bytes = count_bytes(x ^ word);
          const VU halves = (bytes & 0x00FF00FF) + (bytes >> 8 & 0x00FF00FF);
          sum += (halves & 0xFFFF) + (halves >> 16);
        }
      }
      sums[0][p][j] += reinterpret_cast<VI>(sum);
    }
}

#include "tile.h"

bool supported() { return true; }

}  // namespace portable

extern const Kernel kPortable;
const Kernel kPortable = {"portable",
                          portable::supported,
                          portable::kCodeBytes,
                          portable::encode_weight,
                          portable::binary_conv,
                          portable::real_conv,
                          portable::pool,
                          portable::load};

}  // namespace mmreact
