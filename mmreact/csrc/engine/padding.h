// Convolutions read what is in front of a zero padding, and pad themselves.
#pragma once

#include "../program/operation.h"

namespace mmreact {

// The operation whose result a convolution reads: that in front of a padding
// with zeros, if there is one. Of another operation its first input.
int source_of(const Program& program, const Operation& op);

// Above and on the left, with that of such a padding. What is below and on the
// right is as much as the size of the result needs. Of a transposed
// convolution it is that of the convolution of its input, with zeros between
// the pixels, that gives the same; it may be negative.
Pair padding_of(const Program& program, const Operation& op);

}  // namespace mmreact
