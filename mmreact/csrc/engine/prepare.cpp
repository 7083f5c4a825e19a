#include "prepare.h"

#include <algorithm>
#include <cmath>

#include "padding.h"

namespace mmreact {

namespace {

Aligned<float> padded(const std::vector<float>& values) {
  Aligned<float> row(values.begin(), values.end());
  row.resize(values.size() + kBlock);
  return row;
}

// Output channel i of a block, or -1 behind its last one.
int64_t channel_of(const Block& block, int i) {
  return i < block.lanes ? block.channel + i : -1;
}

void make_blocks(Prepared& p, int64_t outputs, int64_t group_step) {
  const int64_t count = outputs / p.groups;
  for (int64_t g = 0; g < p.groups; ++g)
    for (int64_t first = 0; first < count; first += kBlock)
      p.blocks.push_back(
          {g * count + first, g * group_step,
           static_cast<int>(std::min<int64_t>(kBlock, count - first))});
}

Aligned<float> by_block(const Prepared& p, const std::vector<float>& values) {
  Aligned<float> row;
  for (const Block& block : p.blocks)
    for (int i = 0; i < kBlock; ++i) {
      const int64_t channel = channel_of(block, i);
      row.push_back(channel < 0 ? 0.f : values[channel]);
    }
  return row;
}

// [block][tap][channel][kBlock] from weight(output, tap, channel).
template <class Weight>
void interleave(Prepared& p, const Weight& weight) {
  const int64_t taps = p.kernel[0] * p.kernel[1];
  p.real_weight.resize(p.blocks.size() * taps * p.channels * kBlock);
  float* out = p.real_weight.data();
  for (const Block& block : p.blocks)
    for (int64_t t = 0; t < taps; ++t)
      for (int64_t c = 0; c < p.channels; ++c)
        for (int i = 0; i < kBlock; ++i) {
          const int64_t output = channel_of(block, i);
          *out++ = output < 0 ? 0.f : weight(output, t, c);
        }
}

// Groups with fewer output channels than a block are joined until they fill
// it, with zeros for weights between them. A block takes the same time whether
// its lanes are used or not, and full ones can be passed on in registers.
int64_t joined_groups(int64_t outputs, int64_t groups) {
  int64_t joined = groups;
  while (joined > 1 && (groups % joined || outputs / joined < kBlock))
    --joined;
  return joined;
}

void prepare_real(const Operation& op, Prepared& p) {
  const Array& weight = op.arrays[0];
  const int64_t channels = weight.shape[1];
  const int64_t outputs = weight.shape[0], count = outputs / op.groups;
  if (op.kind == Kind::kConv2d) p.kernel = {weight.shape[2], weight.shape[3]};
  p.groups = joined_groups(outputs, op.groups);
  p.channels = channels * (op.groups / p.groups);
  make_blocks(p, outputs, p.channels);
  p.shift = by_block(p, op.arrays[1].real);
  const int64_t taps = p.kernel[0] * p.kernel[1];
  interleave(p, [&](int64_t output, int64_t tap, int64_t c) {
    // Its place in the output's own group.
    c += output / count / (op.groups / p.groups) * p.channels -
         output / count * channels;
    if (c < 0 || c >= channels) return 0.f;
    return weight.real[(output * channels + c) * taps + tap];
  });
}

// The weights of the convolution that gives the same: turned round, and of
// each output channel those of all input channels of its group.
void prepare_transposed(const Operation& op, Prepared& p) {
  const Array& weight = op.arrays[0];
  const int64_t count = weight.shape[1];
  p.kernel = {weight.shape[2], weight.shape[3]};
  p.groups = op.groups;
  p.channels = weight.shape[0] / op.groups;
  make_blocks(p, count * op.groups, p.channels);
  p.shift = by_block(p, op.arrays[1].real);
  const int64_t taps = p.kernel[0] * p.kernel[1];
  interleave(p, [&](int64_t output, int64_t tap, int64_t c) {
    c += output / count * p.channels;
    return weight.real[(c * count + output % count) * taps + taps - 1 - tap];
  });
}

// 1-bit weights of real inputs become floats; scale and shift come behind.
void prepare_signed(const Operation& op, Prepared& p) {
  const Array& weight = op.arrays[0];
  const int64_t taps = p.kernel[0] * p.kernel[1];
  const int64_t words = weight.shape.back();
  p.groups = op.groups;
  make_blocks(p, weight.shape[0], p.channels);
  p.shift.assign(p.blocks.size() * kBlock, 0.f);
  p.rows = {padded(op.arrays[1].real), padded(op.arrays[2].real), {}};
  interleave(p, [&](int64_t output, int64_t tap, int64_t c) {
    const uint64_t word = weight.words[(output * taps + tap) * words + c / 64];
    return word >> (c % 64) & 1 ? 1.f : -1.f;
  });
}

void prepare_binary(const Operation& op, const Kernel& kernel, Prepared& p) {
  const Array& weight = op.arrays[0];
  const int64_t taps = p.kernel[0] * p.kernel[1];
  const int64_t words64 = weight.shape.back();
  p.words = (p.channels + kBlock - 1) / kBlock;
  p.groups = op.groups;
  make_blocks(p, weight.shape[0], p.words);
  const auto& scale = op.arrays[1].real;
  const bool doubles = std::all_of(scale.begin(), scale.end(), [](float s) {
    return std::isfinite(2 * s);
  });
  if (doubles) {
    p.scale = by_block(p, scale);
    for (float& s : p.scale) s *= -2;
    p.shift = by_block(p, op.arrays[2].real);
  } else {
    p.scale.assign(p.blocks.size() * kBlock, -2.f);
    p.shift.assign(p.blocks.size() * kBlock, 0.f);
    p.rows = {padded(scale), padded(op.arrays[2].real), {}};
  }
  const int64_t row = static_cast<int64_t>(p.blocks.size()) * kBlock;
  p.ones.assign(taps * row, 0);
  const int64_t words = taps * p.words;
  const int64_t block_bytes = words * kBlock * kernel.code_bytes;
  p.bit_weight.resize(p.blocks.size() * block_bytes);
  std::vector<uint32_t> block(words * kBlock);
  for (size_t b = 0; b < p.blocks.size(); ++b) {
    uint32_t* out = block.data();
    for (int64_t t = 0; t < taps; ++t)
      for (int64_t w = 0; w < p.words; ++w)
        for (int i = 0; i < kBlock; ++i, ++out) {
          *out = 0;
          const int64_t output = channel_of(p.blocks[b], i);
          if (output < 0) continue;
          const uint64_t word =
              weight.words[(output * taps + t) * words64 + w / 2];
          *out = static_cast<uint32_t>(word >> (w % 2 * 32));
          p.ones[t * row + b * kBlock + i] += __builtin_popcount(*out);
        }
    kernel.encode_weight(block.data(), words,
                         p.bit_weight.data() + b * block_bytes);
  }
}

void prepare_sign(const Operation& op, Prepared& p) {
  const auto& flips = op.arrays[1].bytes;
  p.rows.a = padded(op.arrays[0].real);
  if (std::find(flips.begin(), flips.end(), 1) == flips.end()) return;
  p.flip.resize(p.rows.a.size());
  for (size_t i = 0; i < flips.size(); ++i)
    if (flips[i]) {
      // x < t is -x > -t.
      p.flip[i] = 0x80000000u;
      p.rows.a[i] = -p.rows.a[i];
    }
}

}  // namespace

std::vector<Prepared> prepare(Program& program, const Kernel& kernel) {
  const auto& shape = program.input_shape;
  const auto values = program.infer(1, shape[0], shape[1], shape[2]);
  std::vector<Prepared> all(program.operations.size());
  for (size_t i = 0; i < all.size(); ++i) {
    Operation& op = program.operations[i];
    Prepared& p = all[i];
    switch (op.kind) {
      case Kind::kConv2d:
      case Kind::kLinear:
        prepare_real(op, p);
        break;
      case Kind::kConvTranspose2d:
        prepare_transposed(op, p);
        break;
      case Kind::kBinaryConv2d:
      case Kind::kBinaryLinear:
        p.channels = op.in_channels / op.groups;
        if (op.kind == Kind::kBinaryConv2d)
          p.kernel = {op.arrays[0].shape[1], op.arrays[0].shape[2]};
        if (values[source_of(program, op)].sign)
          prepare_binary(op, kernel, p);
        else
          prepare_signed(op, p);
        break;
      case Kind::kSign:
        prepare_sign(op, p);
        break;
      case Kind::kAffine:
      case Kind::kGroupNorm:
      case Kind::kLayerNorm:
        p.rows = {padded(op.arrays[0].real), padded(op.arrays[1].real), {}};
        break;
      case Kind::kRPReLU:
        p.rows = {padded(op.arrays[0].real), padded(op.arrays[1].real),
                  padded(op.arrays[2].real)};
        p.beta_is_small =
            std::all_of(op.arrays[1].real.begin(), op.arrays[1].real.end(),
                        [](float beta) { return beta <= 1; });
        break;
      case Kind::kInput:
      case Kind::kClamp:
      case Kind::kSigmoid:
      case Kind::kTanh:
      case Kind::kAbs:
      case Kind::kHardsigmoid:
      case Kind::kHardswish:
      case Kind::kSiLU:
      case Kind::kGELU:
      case Kind::kELU:
      case Kind::kSoftplus:
      case Kind::kAdd:
      case Kind::kMultiply:
      case Kind::kScale:
      case Kind::kConcat:
      case Kind::kSlice:
      case Kind::kFlatten:
      case Kind::kPad:
      case Kind::kCrop:
      case Kind::kChannelShuffle:
      case Kind::kSoftmax:
      case Kind::kLogSoftmax:
      case Kind::kResize:
      case Kind::kAvgPool2d:
      case Kind::kMaxPool2d:
      case Kind::kAdaptiveAvgPool2d:
      case Kind::kAdaptiveMaxPool2d:
      case Kind::kChannelMean:
      case Kind::kUnpack:
      case Kind::kRegroup:
      case Kind::kBroadcast:
      case Kind::kConstant:
        continue;
    }
    for (Array& array : op.arrays) {
      array.real = {};
      array.words = {};
      array.bytes = {};
    }
  }
  return all;
}

}  // namespace mmreact
