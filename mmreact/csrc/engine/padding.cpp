#include "padding.h"

namespace mmreact {

namespace {

// The padding with zeros in front of a convolution, or null.
const Operation* zero_padding(const Program& program, const Operation& op) {
  if (op.kind != Kind::kConv2d && op.kind != Kind::kBinaryConv2d)
    return nullptr;
  const Operation& before = program.operations[op.inputs[0]];
  const Pair none{0, 0};
  return before.kind == Kind::kPad && before.value == 0 &&
                 before.channels == none
             ? &before
             : nullptr;
}

}  // namespace

int source_of(const Program& program, const Operation& op) {
  const Operation* pad = zero_padding(program, op);
  return pad ? pad->inputs[0] : op.inputs[0];
}

Pair padding_of(const Program& program, const Operation& op) {
  Pair padding = op.padding;
  if (const Operation* pad = zero_padding(program, op)) {
    padding[0] += pad->rows[0];
    padding[1] += pad->columns[0];
  }
  if (op.kind == Kind::kConvTranspose2d)
    for (int i = 0; i < 2; ++i)
      padding[i] =
          op.dilation[i] * (op.arrays[0].shape[2 + i] - 1) - op.padding[i];
  return padding;
}

}  // namespace mmreact
