// Images in another size.
#pragma once

#include "memory.h"
#include "workers.h"

namespace mmreact {

// Which of n rows each of `out` is; the factor is 0 where the size is given.
std::vector<int32_t> nearest(double factor, int64_t n, int64_t out);

Step bilinear_step(const Operation& op, const Value& in, const RealPlace& from,
                   const Value& out, const RealPlace& to);

}  // namespace mmreact
