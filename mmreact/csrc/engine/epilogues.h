// What a kernel does with a tile behind its producer.
#pragma once

#include "plan_parts.h"

namespace mmreact {

// How `value` is read by an operation that gives `result`.
Operand make_operand(PlanParts& parts, int value, const Value& result);

// The operations of a task, behind those that come `first`, and where its
// floats and bits are stored.
Epilogue make_epilogue(PlanParts& parts, const Task& task,
                       std::vector<PostOp> first);

// The operations for scale and shift, where they are not part of the
// convolution.
std::vector<PostOp> scale_and_shift(const Prepared& p);

}  // namespace mmreact
