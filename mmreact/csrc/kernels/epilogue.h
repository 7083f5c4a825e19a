// What is done with a tile while it is in registers: the operations behind its
// producer, and storing. Part of tile.h.

inline VF hardsigmoid(VF x) {
  return smaller(splat(6), larger(splat(0), x + splat(3))) / splat(6);
}

// exp(x): infinity above 88.3, exp(-87) below -87, so that a sigmoid far out
// is 0 and not a denormal number, with which maps take far longer. 2^n times
// the series of exp(r), with x = n log(2) + r and |r| at most half of log(2).
// Products are rounded before they are added, also where that is one
// instruction, so that all kernels give the same bits.
inline VF exponential(VF x) {
  constexpr float kMagic = 12582912;  // sums with it are rounded to integers
  constexpr int32_t kMagicBits = 0x4B400000;
  x = smaller(splat(89), larger(splat(-87), x));  // NaN stays NaN
  const VF shifted = x * splat(1.44269504f) + splat(kMagic);
  const VF n = shifted - splat(kMagic);
  // log(2) in two parts; the product with the first one is exact.
  const VF r = (x - n * splat(0.693359375f)) + n * splat(2.12194440e-4f);
  VF sum = splat(1.f / 5040);
  constexpr float kTerms[] = {1.f / 720, 1.f / 120, 1.f / 24, 1.f / 6, 0.5f};
  for (const float term : kTerms) sum = sum * r + splat(term);
  sum = sum * r * r + r + splat(1);
  const VI exponent = reinterpret_cast<VI>(shifted) - kMagicBits + 127;
  return sum * reinterpret_cast<VF>(exponent << 23);
}

// kSigmoid, kSiLU or kGELUTanh.
__attribute__((noinline)) void apply_sigmoid(Post kind, float* values,
                                             int count) {
  constexpr float kTwice = 1.5957691216f;  // 2 sqrt(2 / pi)
  for (int i = 0; i < count; i += kLanes) {
    const VF x = load(values + i);
    VF inner = x;
    if (kind == Post::kGELUTanh)
      inner = splat(kTwice) * (x + splat(0.044715f) * (x * x * x));
    const VF divisor = splat(1) + exponential(-inner);
    store_block<true>(values + i, 0, kBlock,
                      (kind == Post::kSigmoid ? splat(1) : x) / divisor);
  }
}

// Applies an operation to a tile in registers. What is rare goes through
// memory, in a function of its own, so that the rest stays in registers.

template <int P, bool kFull>
inline __attribute__((always_inline)) void apply(const PostOp& op,
                                                 VF (&v)[P][kVectors],
                                                 const Tile<P>& tile,
                                                 const Block& block) {
  const Operand& o = op.operand;
  const int lanes = block.lanes;
  const int64_t pixel = o.pixel;
  const float* const data = o.data + tile.image * o.image +
                            tile.first * pixel +
                            (o.channels ? block.channel : 0);
  const float* const a = op.a + block.channel;
  const float* const b = op.b + block.channel;
  const float* const c = op.c + block.channel;
  switch (op.kind) {
    case Post::kAdd:
      if (o.channels)
        each<P>([&](int p, int j) {
          v[p][j] += load_block<kFull>(data + p * pixel, j, lanes);
        });
      else
        each<P>([&](int p, int j) { v[p][j] += splat(data[p * pixel]); });
      break;
    case Post::kAddPooled: {
      const float* const image = o.data + tile.image * o.image + block.channel;
      const int32_t* const at = o.at + tile.first;
      const int64_t row = o.row;
      each<P>([&](int p, int j) {
        const float* const top = image + at[p];
        const float* const bottom = top + row;
        const VF sum = (load_block<kFull>(top, j, lanes) +
                        load_block<kFull>(top + pixel, j, lanes)) +
                       (load_block<kFull>(bottom, j, lanes) +
                        load_block<kFull>(bottom + pixel, j, lanes));
        v[p][j] += sum * splat(0.25f);
      });
      break;
    }
    case Post::kMultiply:
      if (o.channels)
        each<P>([&](int p, int j) {
          v[p][j] *= load_block<kFull>(data + p * pixel, j, lanes);
        });
      else
        each<P>([&](int p, int j) { v[p][j] *= splat(data[p * pixel]); });
      break;
    case Post::kAffine:
      each<P>([&](int p, int j) {
        v[p][j] = v[p][j] * load(a + j * kLanes) + load(b + j * kLanes);
      });
      break;
    case Post::kRPReLU:
      each<P>([&](int p, int j) {
        const VF u = v[p][j] - load(a + j * kLanes);
        const VF bu = load(b + j * kLanes) * u;
        v[p][j] = (u > VF{} ? u : bu) + load(c + j * kLanes);
      });
      break;
    case Post::kRPReLULargest:
      each<P>([&](int p, int j) {
        const VF u = v[p][j] - load(a + j * kLanes);
        v[p][j] = larger(u, load(b + j * kLanes) * u) + load(c + j * kLanes);
      });
      break;
    case Post::kClamp: {
      const VF low = splat(op.low), high = splat(op.high);
      each<P>([&](int p, int j) {
        v[p][j] = smaller(larger(v[p][j], low), high);
      });
      break;
    }
    case Post::kHardsigmoid:
      each<P>([&](int p, int j) { v[p][j] = hardsigmoid(v[p][j]); });
      break;
    case Post::kHardswish:
      each<P>([&](int p, int j) { v[p][j] *= hardsigmoid(v[p][j]); });
      break;
    case Post::kSigmoid:
    case Post::kSiLU:
    case Post::kGELUTanh: {
      float values[P][kBlock];
      each<P>([&](int p, int j) {
        store_block<true>(values[p], j, kBlock, v[p][j]);
      });
      apply_sigmoid(op.kind, values[0], P * kBlock);
      each<P>([&](int p, int j) { v[p][j] = load(values[p] + j * kLanes); });
      break;
    }
    case Post::kAbs:
    case Post::kTanh:
    case Post::kGELU:
    case Post::kELU:
    case Post::kSoftplus: {
      float values[P][kBlock];
      each<P>([&](int p, int j) {
        store_block<true>(values[p], j, kBlock, v[p][j]);
      });
      apply_rare(op, values[0], P * kBlock);
      each<P>([&](int p, int j) { v[p][j] = load(values[p] + j * kLanes); });
    }
  }
}

// Pairs of pixels are added; the second row of two completes the means.
template <int P>
inline __attribute__((always_inline)) void store_means(
    const VF (&v)[P][kVectors], const Tile<P>& tile, const Block& block,
    const Epilogue& e) {
  const uint32_t width = static_cast<uint32_t>(e.pooled_width);
  const uint32_t y = static_cast<uint32_t>(tile.first) / width;
  const uint32_t x = static_cast<uint32_t>(tile.first) % width;
  const int64_t pixel = e.pixel;
  float* const out = e.out + tile.image * e.image + block.channel +
                     (int64_t{y / 2} * (width / 2) + x / 2) * pixel;
  each<P / 2>([&](int p, int j) {
    float* const to = out + p * pixel;
    VF sum = v[2 * p][j] + v[2 * p + 1][j];
    if (y % 2) sum = (load(to + j * kLanes) + sum) * splat(0.25f);
    store_block<true>(to, j, kBlock, sum);
  });
}

template <int P, bool kFull, bool kMeans = false>
inline __attribute__((always_inline)) void finish(VF (&v)[P][kVectors],
                                                  const Tile<P>& tile,
                                                  const Block& block,
                                                  const Epilogue& e) {
  for (int i = 0; i < e.count; ++i) apply<P, kFull>(e.ops[i], v, tile, block);
  if constexpr (kMeans) {
    store_means(v, tile, block, e);
  } else if (e.out) {
    float* const out =
        e.out + tile.image * e.image + tile.first * e.pixel + block.channel;
    const int64_t pixel = e.pixel;
    const int lanes = block.lanes;
    each<P>([&](int p, int j) {
      store_block<kFull>(out + p * pixel, j, lanes, v[p][j]);
    });
  }
  if (!e.bits) return;
  const float* const threshold = e.threshold + block.channel;
  uint32_t* const bits =
      e.bits + tile.image * e.bits_image + block.channel / kBlock;
  const int32_t* const bits_at = e.bits_at + tile.first;
  if (e.flip) {
    const int32_t* const flip =
        reinterpret_cast<const int32_t*>(e.flip) + block.channel;
    each<P>([&](int p, int j) {
      v[p][j] = reinterpret_cast<VF>(reinterpret_cast<VI>(v[p][j]) ^
                                     load(flip + j * kLanes));
    });
  }
  MMREACT_UNROLL
  for (int p = 0; p < P; ++p) {
    uint32_t word = signs(v[p], threshold);
    if (!kFull) word &= ~uint32_t{0} >> (kBlock - block.lanes);
    bits[bits_at[p]] = word;
  }
}

// The same for what is not a whole tile of a whole block, pixel by pixel.
__attribute__((noinline)) void finish_pixels(const float* values, int count,
                                             int64_t image, int64_t first,
                                             const Block& block,
                                             const Epilogue& e) {
  for (int p = 0; p < count; ++p, values += kBlock) {
    const Tile<1> tile{image, first + p};
    VF v[1][kVectors];
    each<1>([&](int, int j) { v[0][j] = load(values + j * kLanes); });
    if (block.lanes == kBlock)
      finish<1, true>(v, tile, block, e);
    else
      finish<1, false>(v, tile, block, e);
  }
}
