// What makes tiles, but for 1-bit convolutions. Part of tile.h.

// Producers: each makes a tile of P pixels times block `b`.

struct MakeRealConv {
  const RealConv& c;

  // v += in[p][i] weight[i], for `count` numbers, each rounded once.
  template <int P>
  static inline __attribute__((always_inline)) void add(
      const float* const (&in)[P], int64_t count, const float*& weight,
      VF (&v)[P][kVectors]) {
    for (int64_t i = 0; i < count; ++i, weight += kBlock) {
      VF w[kVectors];
      MMREACT_UNROLL
      for (int j = 0; j < kVectors; ++j) w[j] = load(weight + j * kLanes);
      MMREACT_UNROLL
      for (int p = 0; p < P; ++p) {
        const VF x = splat(in[p][i]);
        MMREACT_UNROLL
        for (int j = 0; j < kVectors; ++j)
          v[p][j] = multiply_add(x, w[j], v[p][j]);
      }
    }
  }

  template <int P>
  inline __attribute__((always_inline)) void operator()(
      const Tile<P>& tile, const Block& block, int64_t b,
      VF (&v)[P][kVectors]) const {
    const float* const image = c.in + tile.image * c.image + block.in;
    const float* weight =
        c.weight + b * c.kernel[0] * c.kernel[1] * c.channels * kBlock;
    each<P>([&](int p, int j) {
      v[p][j] = load(c.bias + b * kBlock + j * kLanes);
    });
    bool inside = true;
    for (int p = 0; p < P; ++p) inside &= c.inside[tile.first + p];
    const int32_t* const in_at = c.in_at + tile.first;
    Place<P> place;
    if (!inside) place = locate(tile, c.out_width);
    // The taps of a row lie side by side if nothing is between them.
    const bool joined = inside && c.dilation[1] == 1 && c.pixel == c.channels;
    for (int64_t ky = 0; ky < c.kernel[0]; ++ky) {
      const int64_t dy = ky * c.dilation[0] - c.padding[0];
      for (int64_t kx = 0; kx < (joined ? 1 : c.kernel[1]); ++kx) {
        const int64_t dx = kx * c.dilation[1] - c.padding[1];
        const float* in[P];
        if (inside)
          for (int p = 0; p < P; ++p)
            in[p] = image + in_at[p] + dy * c.row + dx * c.pixel;
        else if (!find_taps(place, image, dy, dx, in)) {
          weight += c.channels * kBlock;
          continue;
        }
        add<P>(in, joined ? c.kernel[1] * c.channels : c.channels, weight, v);
      }
    }
  }

  // Where a tap of each pixel is: in the image or among zeros. Returns whether
  // one is in the image.
  template <int P>
  __attribute__((noinline)) bool find_taps(const Place<P>& place,
                                           const float* image, int64_t dy,
                                           int64_t dx,
                                           const float* (&in)[P]) const {
    bool any = false;
    const bool apart = c.spread[0] > 1 || c.spread[1] > 1;
    for (int p = 0; p < P; ++p) {
      int64_t y = place.y[p] * c.stride[0] + dy;
      int64_t x = place.x[p] * c.stride[1] + dx;
      bool valid = true;
      if (apart) {
        valid = y % c.spread[0] == 0 && x % c.spread[1] == 0;
        y /= c.spread[0];
        x /= c.spread[1];
      }
      valid &= y >= 0 && y < c.height && x >= 0 && x < c.width;
      in[p] = valid ? image + y * c.row + x * c.pixel : c.zeros;
      any |= valid;
    }
    return any;
  }
};

struct MakePool {
  const Pool& c;

  void join(VF& all, VF one) const {
    all = c.maximum ? larger(one, all) : all + one;
  }

  template <int P>
  inline __attribute__((always_inline)) void operator()(
      const Tile<P>& tile, const Block& block, int64_t,
      VF (&v)[P][kVectors]) const {
    const float* const image = c.in + tile.image * c.image + block.channel;
    const Place<P> place = locate(tile, c.out_width);
    for (int p = 0; p < P; ++p) {
      const int32_t y = place.y[p], x = place.x[p];
      const VF start = splat(c.maximum ? -__FLT_MAX__ : 0.f);
      VF all[kVectors];
      for (int j = 0; j < kVectors; ++j) all[j] = start;
      for (int32_t i = 0; i < c.rows.count[y]; ++i) {
        const float* const row =
            image + (c.rows.begin[y] + i * c.rows.step) * c.row;
        // The sum of sums of rows, as where means of 2x2 are made elsewhere.
        VF sum[kVectors];
        for (int j = 0; j < kVectors; ++j) sum[j] = start;
        for (int32_t k = 0; k < c.columns.count[x]; ++k) {
          const float* const in =
              row + (c.columns.begin[x] + k * c.columns.step) * c.pixel;
          for (int j = 0; j < kVectors; ++j)
            join(sum[j], block.lanes == kBlock
                             ? load_block<true>(in, j, kBlock)
                             : load_block<false>(in, j, block.lanes));
        }
        for (int j = 0; j < kVectors; ++j) join(all[j], sum[j]);
      }
      const VF divisor =
          splat(c.maximum ? 1.f : c.rows.divisor[y] * c.columns.divisor[x]);
      for (int j = 0; j < kVectors; ++j) v[p][j] = all[j] / divisor;
    }
  }
};

struct MakeLoad {
  const Load& c;

  template <int P>
  inline __attribute__((always_inline)) void operator()(
      const Tile<P>& tile, const Block& block, int64_t,
      VF (&v)[P][kVectors]) const {
    if (c.bits) {
      const uint32_t* const bits =
          c.bits + tile.image * c.bits_image + block.channel / kBlock;
      for (int p = 0; p < P; ++p) {
        const uint32_t word = bits[c.bits_at[tile.first + p]];
        float values[kBlock];
        for (int i = 0; i < kBlock; ++i)
          values[i] = word >> i & 1 ? 1.f : -1.f;
        for (int j = 0; j < kVectors; ++j) v[p][j] = load(values + j * kLanes);
      }
      return;
    }
    const Operand& o = c.in;
    const float* const data = o.data + tile.image * o.image +
                              tile.first * o.pixel +
                              (o.channels ? block.channel : 0);
    const int lanes = block.lanes;
    if (!o.channels)
      each<P>([&](int p, int j) { v[p][j] = splat(data[p * o.pixel]); });
    else if (lanes == kBlock)
      each<P>([&](int p, int j) {
        v[p][j] = load_block<true>(data + p * o.pixel, j, lanes);
      });
    else
      each<P>([&](int p, int j) {
        v[p][j] = load_block<false>(data + p * o.pixel, j, lanes);
      });
  }
};
