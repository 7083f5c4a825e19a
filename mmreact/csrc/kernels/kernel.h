// What a kernel does and how it is chosen. Everything here is plain data: the
// files of the kernels are compiled for other instruction sets than the rest,
// so they must not instantiate templates of the standard library, whose code
// the linker would share with the rest.
//
// A kernel computes tiles: some pixels times kBlock output channels. Each tile
// is made by one of four producers (1-bit convolution, real convolution,
// pooling, a value as it is), passes through the operations behind it while it
// is in registers (Epilogue), and is stored as floats where somebody needs
// them and as bits where the next Sign needs those.
#pragma once

#include <stdint.h>

namespace mmreact {

// Output channels of a tile, and of a block of interleaved weights.
constexpr int kBlock = 32;

// Pixels of a row that all kernels can average in pairs.
constexpr int kPooledTile = 8;

// A real value, as pixels in memory: element (n, i, c) of pixel i of image n
// is data[n image + i pixel + c]. Strides of 0 repeat what is there. Without
// `channels` there is one number for all channels.
struct Operand {
  const float* data;
  int64_t image, pixel;
  bool channels;
  // Of kAddPooled only: the first of four pixels for each pixel of the result,
  // and the distance to the row below.
  const int32_t* at;
  int64_t row;
};

enum class Post : int32_t {
  kAdd,            // v + operand
  kAddPooled,      // v + the mean of 2x2 pixels of the operand
  kMultiply,       // v operand
  kAffine,         // a v + b
  kRPReLU,         // u = v - a; (u > 0 ? u : b u) + c
  kRPReLULargest,  // the same for b <= 1: max(u, b u) + c
  kClamp,          // min(max(v, low), high)
  kHardsigmoid,    // min(max(v + 3, 0), 6) / 6
  kHardswish,      // v times that
  kSigmoid,
  kSiLU,
  kGELUTanh,
  // Rare ones: see apply_rare.
  kAbs,
  kTanh,
  kGELU,
  kELU,
  kSoftplus,
};

// The constants a, b, c have one number for each output channel and are
// readable for a block behind the last one.
struct PostOp {
  Post kind;
  Operand operand;
  const float *a, *b, *c;
  float low, high;  // of kClamp
  float alpha;      // of kELU
};

struct Epilogue {
  const PostOp* ops;
  int count;
  float* out;  // null where nobody needs floats
  int64_t image, pixel;
  // Not 0 if only the means of 2x2 pixels are stored: the width of the image
  // before. It is a multiple of kPooledTile, the height one of 2, all blocks
  // are full, and a band is pairs of rows.
  int64_t pooled_width;
  // Signs: v > threshold, after the bits of `flip` (0 or the sign bit) were
  // xored into v. Null where nobody needs bits.
  uint32_t* bits;
  int64_t bits_image;
  const int32_t* bits_at;  // the first word of each pixel of an image
  const float* threshold;
  const uint32_t* flip;  // null if nothing is flipped
};

// kBlock output channels or fewer; with groups all of one group.
struct Block {
  int64_t channel;  // the first one
  int64_t in;       // where its group begins within an input pixel
  int lanes;        // valid channels
};

// The output of a producer.
struct Job {
  const Block* blocks;
  // So many pixels are computed for one block after the other.
  int64_t band;
  Epilogue epilogue;
};

// A part of a job: pixels of an image times blocks.
struct Range {
  int64_t image, first, last, block_first, block_last;
  // Of 1-bit convolutions: room for the windows of a band, from the start of a
  // cache line.
  uint8_t* scratch;
};

// Input bits: 32-bit words, channels of a pixel side by side, with a border
// of zeros as wide as the padding. A window is runs of words, run k at
// offsets[k] behind its first one.
struct BinaryConv {
  const uint32_t* in;
  int64_t image;
  const int32_t* in_at;  // the first word of the window of each output pixel
  int64_t pixel;         // from one of them to the next one in its row
  const int64_t* offsets;
  int runs, length;
  const uint8_t* weight;  // [block] of what encode_weight makes
  // The sum of signs is taps - 2 popcount(x ^ w), where what lies outside the
  // image is corrected in `taps`. Half of it, negated, is start + popcount -
  // half, exact in floats: start is -taps / 2 rounded down, half is 0.5 where
  // taps is odd, and null if that is nowhere. Both are [class][block][kBlock];
  // class_at says where the class of each output pixel begins.
  const int32_t *start, *class_at;
  // So many pixels from each one on are in its row and of its class.
  const uint8_t* alike;
  const float* half;
  const float *scale, *shift;  // [block][kBlock]; the scale is that by -2
};

// Input floats without a border.
struct RealConv {
  const float* in;
  int64_t image, row, pixel;
  int64_t height, width, out_width;
  int64_t kernel[2], stride[2], padding[2], dilation[2];
  // Of a transposed convolution: so far apart are pixels, with zeros between.
  int64_t spread[2];
  int64_t channels;  // of a group
  bool grouped;
  const int32_t* in_at;   // the first tap of each output pixel, if the padding
  const uint8_t* inside;  // were 0; whether its whole window is in the image
  const float* zeros;     // so many
  const float* weight;    // [block][kernel][channels][kBlock]
  const float* bias;      // [block][kBlock]
};

// Windows over rows and columns: output row y takes the input rows
// begin[y] + i step, i < count[y], and is divided by divisor[y].
struct Axis {
  const int32_t *begin, *count;
  const float* divisor;
  int64_t step;
};

struct Pool {
  const float* in;
  int64_t image, row, pixel, out_width;
  bool maximum;
  Axis rows, columns;
};

// A value as it is: floats or, if there are bits, +1 and -1.
struct Load {
  Operand in;
  const uint32_t* bits;
  int64_t bits_image;
  const int32_t* bits_at;
};

struct Kernel {
  const char* name;
  bool (*supported)();
  // 1-bit weights and windows are in a code of the kernel's own, of so many
  // bytes for 32 bits. A block of weights is encoded from [words][kBlock].
  int code_bytes;
  void (*encode_weight)(const uint32_t* weight, int64_t words, uint8_t* code);
  void (*binary_conv)(const BinaryConv&, const Job&, const Range&);
  void (*real_conv)(const RealConv&, const Job&, const Range&);
  void (*pool)(const Pool&, const Job&, const Range&);
  void (*load)(const Load&, const Job&, const Range&);
};

// What the code of a window of so many words takes.
constexpr int64_t window_bytes(int64_t words, int code_bytes) {
  return (words * code_bytes + 15) / 16 * 16;
}

// The one list of kernels, the fastest first; the last one runs everywhere.
// Dispatch, tests and benchmarks read it.
extern const Kernel* const kKernels[];
extern const int kKernelCount;

// Null if there is none of this name.
const Kernel* find_kernel(const char* name);

// The functions without vector code, for all kernels alike: made in double,
// and rounded once.
void apply_rare(const PostOp& op, float* values, int count);

}  // namespace mmreact
