// 1-bit convolutions. Part of tile.h.
//
// Windows of words in memory are counted where they are. Where the kernel has
// a code for them, the windows of a band are encoded once, for all output
// channels. Popcounts of windows xored with weights are made for some pixels
// times kGroup blocks at a time.

template <class E>
inline void encode_windows(const BinaryConv& c, int64_t image, int64_t in,
                           int64_t first, int64_t last, uint8_t* code) {
  const int64_t window = window_bytes(int64_t{c.runs} * c.length, kCodeBytes);
  for (int64_t p = first; p < last; ++p, code += window) {
    const uint32_t* const words = c.in + image * c.image + in + c.in_at[p];
    uint8_t* out = code;
    E encoder;
    for (int r = 0; r < c.runs; ++r, out += c.length * kCodeBytes)
      encoder.add(words + c.offsets[r], c.length, out);
  }
}

// As many of `pixels` as means can be made of: they end with a row.
constexpr int in_pairs(int pixels) {
  return pixels >= 7 ? kPooledTile : pixels < 2 ? 2 : pixels;
}

// Sums of a band, and what is done with them.
template <bool kCoded, bool kMeans>
struct Sums {
  const BinaryConv& c;
  const Job& job;
  int64_t image, first;  // the pixel whose code is the first one
  const uint8_t* codes;

  // The windows of P pixels, and what their sums begin with.
  template <int P, int G>
  inline MMREACT_INLINE void begin(int64_t pixel, int64_t b,
                                   Windows<P>& windows,
                                   VI (&sums)[G][P][kVectors]) const {
    static constexpr int64_t kNone[] = {0};
    windows = {{}, c.offsets, c.runs, c.length};
    if (kCoded) windows = {{}, kNone, 1, c.runs * c.length};
    const int64_t step = kCoded ? window_bytes(windows.length, kCodeBytes)
                                : c.pixel * int64_t{sizeof *c.in};
    const uint8_t* const image_at = reinterpret_cast<const uint8_t*>(
        c.in + image * c.image + job.blocks[b].in);
    const uint8_t* const at =
        kCoded ? codes + (pixel - first) * step
               : image_at + c.in_at[pixel] * int64_t{sizeof *c.in};
    MMREACT_UNROLL
    for (int p = 0; p < P; ++p) windows.at[p] = at + p * step;
    const int32_t* const class_at = c.class_at + pixel;
    const int32_t* const start = c.start + b * kBlock;
    if (c.alike[pixel] >= P) {
      MMREACT_UNROLL
      for (int g = 0; g < G; ++g) {
        VI first[kVectors];
        MMREACT_UNROLL
        for (int j = 0; j < kVectors; ++j)
          first[j] = load(start + class_at[0] + g * kBlock + j * kLanes);
        each<P>([&](int p, int j) { sums[g][p][j] = first[j]; });
      }
      return;
    }
    MMREACT_UNROLL
    for (int g = 0; g < G; ++g)
      each<P>([&](int p, int j) {
        sums[g][p][j] = load(start + class_at[p] + g * kBlock + j * kLanes);
      });
    if (kCoded) return;
    MMREACT_UNROLL
    for (int p = 0; p < P; ++p)
      windows.at[p] = image_at + c.in_at[pixel + p] * int64_t{sizeof *c.in};
  }

  // Half the sums of signs, negated, to real values.
  template <int P>
  inline MMREACT_INLINE void scale(const VI (*sums)[kVectors],
                                   const Tile<P>& tile, int64_t b,
                                   VF (&v)[P][kVectors]) const {
    each<P>([&](int p, int j) {
      v[p][j] = __builtin_convertvector(sums[p][j], VF);
    });
    if (c.half) {
      const int32_t* const class_at = c.class_at + tile.first;
      const float* const half = c.half + b * kBlock;
      each<P>([&](int p, int j) {
        v[p][j] -= load(half + class_at[p] + j * kLanes);
      });
    }
    const float* const scale = c.scale + b * kBlock;
    const float* const shift = c.shift + b * kBlock;
    each<P>([&](int p, int j) {
      v[p][j] = v[p][j] * load(scale + j * kLanes) + load(shift + j * kLanes);
    });
  }

  // P pixels times G blocks; T of the pixels pass through registers at a time.
  template <int P, int G>
  inline MMREACT_INLINE void tile(int64_t pixel, int64_t b) const {
    constexpr int T = kMeans ? in_pairs(kTile) : P < kTile ? P : kTile;
    static_assert(P % T == 0, "sums are passed on tile by tile");
    Windows<P> windows;
    VI sums[G][P][kVectors];
    begin(pixel, b, windows, sums);
    const int64_t block =
        int64_t{c.runs} * c.length * kBlock * (kCoded ? kCodeBytes : 4);
    count<P, G, kCoded>(windows, c.weight + b * block, block, sums);
    MMREACT_UNROLL
    for (int g = 0; g < G; ++g) {
      MMREACT_UNROLL
      for (int p = 0; p < P; p += T) {
        const Tile<T> tile{image, pixel + p};
        VF v[T][kVectors];
        scale<T>(sums[g] + p, tile, b + g, v);
        finish_tile<T, kMeans>(v, tile, job.blocks[b + g], job);
      }
    }
  }

  template <int P, int G>
  inline void run(int64_t pixel, int64_t last, int64_t b) const {
    for (; pixel + P <= last; pixel += P) tile<P, G>(pixel, b);
    if constexpr (P > 1 && !kMeans) run<P / 2, G>(pixel, last, b);
  }
};

// Pixels of a band times G blocks or, if there are not so many of the same
// input, fewer. Returns how many.
template <int P, int G, class S>
inline int64_t run_blocks(const S& sums, const Range& range, int64_t last,
                          int64_t b) {
  const Block* const blocks = sums.job.blocks;
  if constexpr (G > 1)
    if (b + G > range.block_last || blocks[b + G - 1].in != blocks[b].in)
      return run_blocks<P, G / 2>(sums, range, last, b);
  sums.template run<P, G>(sums.first, last, b);
  return G;
}

template <bool kCoded, bool kMeans>
inline void run_binary(const BinaryConv& c, const Job& job,
                       const Range& range) {
  constexpr int P = kMeans ? in_pairs(kCount) : kCount;
  each_band(job, range, [&](int64_t first, int64_t last) {
    const Sums<kCoded, kMeans> sums{c, job, range.image, first, range.scratch};
    int64_t in = -1;
    for (int64_t b = range.block_first; b < range.block_last;) {
      if constexpr (kCoded)
        if (job.blocks[b].in != in)
          encode_windows<Encoder>(c, range.image, in = job.blocks[b].in, first,
                                  last, range.scratch);
      b += run_blocks<P, kGroup>(sums, range, last, b);
    }
  });
}

void binary_conv(const BinaryConv& c, const Job& job, const Range& range) {
  const bool means = job.epilogue.pooled_width != 0;
  const int64_t words = int64_t{c.runs} * c.length;
  if constexpr (kCodesFrom < kNoCodes) {
    if (words >= kCodesFrom)
      return means ? run_binary<true, true>(c, job, range)
                   : run_binary<true, false>(c, job, range);
  }
  if constexpr (kCodesFrom > 0)
    means ? run_binary<false, true>(c, job, range)
          : run_binary<false, false>(c, job, range);
}
