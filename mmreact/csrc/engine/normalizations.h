// Normalizations by what is in the input itself: sums in double, each result
// rounded once.
#pragma once

#include "memory.h"
#include "prepare.h"
#include "workers.h"

namespace mmreact {

// `rows` holds weight and bias.
Step group_norm_step(const Operation& op, const Rows& rows, const Value& value,
                     const RealPlace& from, const RealPlace& to);
Step layer_norm_step(const Operation& op, const Rows& rows, const Value& value,
                     const RealPlace& from, const RealPlace& to);

// Over the channels of each pixel.
Step softmax_step(const Value& value, const RealPlace& from,
                  const RealPlace& to, bool logarithm);

}  // namespace mmreact
