// The constants of a program as a kernel wants them, made once when it is
// loaded.
#pragma once

#include <vector>

#include "../kernels/kernel.h"
#include "../program/operation.h"
#include "aligned.h"

namespace mmreact {

// Constants per channel, with a block of zeros behind them.
struct Rows {
  Aligned<float> a, b, c;
};

struct Prepared {
  // Affine, RPReLU; of a Sign the threshold. Of a convolution with 1-bit
  // weights scale and shift, where they are not part of it: for real inputs,
  // and for scales that cannot be doubled.
  Rows rows;
  Aligned<uint32_t> flip;      // empty if nothing is flipped
  bool beta_is_small = false;  // every beta of a RPReLU is at most 1

  // Convolutions and linear layers. Of a linear layer a pixel is an image.
  std::vector<Block> blocks;
  int64_t groups = 1;    // maybe fewer than the operation's, see prepare.cpp
  int64_t channels = 0;  // input channels of a group
  int64_t words = 0;     // that hold them
  Pair kernel{1, 1};
  Aligned<float> real_weight;   // as RealConv wants it, with
  Aligned<uint8_t> bit_weight;  // or as BinaryConv wants it
  Aligned<float> scale, shift;  // [block][kBlock]; see kernel.h
  std::vector<int32_t> ones;    // [tap][block][kBlock]
};

// One for each operation. Takes the weights out of the program.
std::vector<Prepared> prepare(Program& program, const Kernel& kernel);

}  // namespace mmreact
