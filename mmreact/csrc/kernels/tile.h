// Tiles in terms of the compiler's vectors, for every instruction set. A
// kernel's file defines, in a namespace of its own,
//   kLanes, kTile      lanes of a vector; pixels of a tile
//   kCount, kGroup     pixels and blocks whose popcounts are made together
//   kCodesFrom         windows of so many words or more are encoded; kNoCodes:
//                      none are
//   kCodeBytes         of the code of 32 bits of a window or weight
//   Encoder            add(words, length, code) encodes the next words of a
//                      window; where nothing is encoded it may be incomplete
//   encode_weight(..)  that of kernel.h
//   count<P, G, kCoded>(windows, weight, block, sums)
//                      adds the popcounts of P windows xored with the weights
//                      of G blocks, `block` bytes apart
// before it includes this one, which is made for that alone: it has no guard.
//
// The order of floating-point operations is the same in all of them: lanes
// are output channels, sums run over taps and input channels in their order.
// Real convolutions add with one rounding (fma); elsewhere products are
// rounded before they are added (-ffp-contract=off). So all kernels give the
// same bits.

constexpr int kVectors = kBlock / kLanes;

inline VF load(const float* p) {
  VF v;
  __builtin_memcpy(&v, p, sizeof v);
  return v;
}

inline VI load(const int32_t* p) {
  VI v;
  __builtin_memcpy(&v, p, sizeof v);
  return v;
}

inline VF splat(float x) { return x - VF{}; }

// Vector j of a block, of which only the valid lanes are touched.
template <bool kFull>
inline VF load_block(const float* p, int j, int lanes) {
  if (kFull) return load(p + j * kLanes);
  float values[kLanes] = {};
  for (int i = 0; i < kLanes && j * kLanes + i < lanes; ++i)
    values[i] = p[j * kLanes + i];
  return load(values);
}

template <bool kFull>
inline void store_block(float* p, int j, int lanes, VF v) {
  if (kFull) {
    __builtin_memcpy(p + j * kLanes, &v, sizeof v);
    return;
  }
  float values[kLanes];
  __builtin_memcpy(values, &v, sizeof v);
  for (int i = 0; i < kLanes && j * kLanes + i < lanes; ++i)
    p[j * kLanes + i] = values[i];
}

// P pixels of an image, side by side or at the end of a row and the start of
// the next one.
template <int P>
struct Tile {
  int64_t image, first;
};

// Row and column of the pixels of a tile.
template <int P>
struct Place {
  int32_t y[P], x[P];
};

template <int P>
inline Place<P> locate(const Tile<P>& tile, int64_t width) {
  Place<P> place;
  const uint32_t w = static_cast<uint32_t>(width);
  uint32_t y = static_cast<uint32_t>(tile.first) / w;
  uint32_t x = static_cast<uint32_t>(tile.first) % w;
  MMREACT_UNROLL
  for (int p = 0; p < P; ++p) {
    place.y[p] = static_cast<int32_t>(y);
    place.x[p] = static_cast<int32_t>(x);
    if (++x == w) x = 0, ++y;
  }
  return place;
}

// Calls f(p, j) for all vectors of a tile, unrolled.
template <int P, class F>
inline MMREACT_INLINE void each(F&& f) {
  MMREACT_UNROLL
  for (int p = 0; p < P; ++p) {
    MMREACT_UNROLL
    for (int j = 0; j < kVectors; ++j) f(p, j);
  }
}

#include "epilogue.h"
#include "producers.h"

template <int P, bool kMeans>
inline __attribute__((always_inline)) void finish_tile(VF (&v)[P][kVectors],
                                                       const Tile<P>& tile,
                                                       const Block& block,
                                                       const Job& job) {
  if (kMeans || (P == kTile && block.lanes == kBlock)) {
    finish<P, true, kMeans>(v, tile, block, job.epilogue);
  } else {
    float values[P][kBlock];
    each<P>([&](int p, int j) {
      store_block<true>(values[p], j, kBlock, v[p][j]);
    });
    finish_pixels(values[0], P, tile.image, tile.first, block, job.epilogue);
  }
}

// Whole tiles as long as there are enough pixels, then smaller ones.
template <int P, class Make>
inline void run_pixels(const Make& make, const Job& job, int64_t image,
                       int64_t first, int64_t last, int64_t b) {
  for (; first + P <= last; first += P) {
    const Tile<P> tile{image, first};
    VF v[P][kVectors];
    make.template operator()<P>(tile, job.blocks[b], b, v);
    finish_tile<P, false>(v, tile, job.blocks[b], job);
  }
  if constexpr (P > 1) run_pixels<P / 2>(make, job, image, first, last, b);
}

// Calls f(first, last) for each band of a range.
template <class F>
inline void each_band(const Job& job, const Range& range, const F& f) {
  for (int64_t first = range.first; first < range.last; first += job.band)
    f(first, first + job.band < range.last ? first + job.band : range.last);
}

template <class Make>
inline void run(const Make& make, const Job& job, const Range& range) {
  each_band(job, range, [&](int64_t first, int64_t last) {
    for (int64_t b = range.block_first; b < range.block_last; ++b)
      run_pixels<kTile>(make, job, range.image, first, last, b);
  });
}

#include "binary.h"

// A linear layer of one vector: one pixel times some blocks at a time, so that
// a sum need not wait for the one before.
template <int B>
inline int64_t linear_blocks(const RealConv& c, const Job& job,
                             const Range& range) {
  int64_t b = range.block_first;
  for (; b + B <= range.block_last; b += B) {
    const float* const in = c.in + range.image * c.image + job.blocks[b].in +
                            c.in_at[range.first] - c.padding[0] * c.row -
                            c.padding[1] * c.pixel;
    const float* const weight = c.weight + b * c.channels * kBlock;
    VF v[B][kVectors];
    each<B>([&](int i, int j) {
      v[i][j] = load(c.bias + (b + i) * kBlock + j * kLanes);
    });
    for (int64_t k = 0; k < c.channels; ++k) {
      const VF x = splat(in[k]);
      each<B>([&](int i, int j) {
        const float* const w = weight + (i * c.channels + k) * kBlock;
        v[i][j] = multiply_add(x, load(w + j * kLanes), v[i][j]);
      });
    }
    for (int i = 0; i < B; ++i) {
      float values[kBlock];
      for (int j = 0; j < kVectors; ++j)
        store_block<true>(values, j, kBlock, v[i][j]);
      finish_pixels(values, 1, range.image, range.first, job.blocks[b + i],
                    job.epilogue);
    }
  }
  return b;
}

void real_conv(const RealConv& c, const Job& job, const Range& range) {
  Range rest = range;
  const bool vector = range.last - range.first == 1 && !c.grouped &&
                      c.kernel[0] * c.kernel[1] == 1 && c.inside[range.first];
  constexpr int kBlocks = kVectors > 4 ? 1 : 8 / kVectors;
  if (vector) rest.block_first = linear_blocks<kBlocks>(c, job, range);
  run(MakeRealConv{c}, job, rest);
}

void pool(const Pool& c, const Job& job, const Range& range) {
  run(MakePool{c}, job, range);
}

void load(const Load& c, const Job& job, const Range& range) {
  run(MakeLoad{c}, job, range);
}
