// Steps that move values or are too rare for vector code.
#pragma once

#include "memory.h"
#include "workers.h"

namespace mmreact {

// (N, C, H, W) to pixels of channels; `input` is read when the step runs.
Step input_step(const float* const& input, const Value& value,
                const RealPlace& to);

// A wanted value to (N, C, H, W); `output` is read when the step runs.
Step real_output_step(const Value& value, const RealPlace& from,
                      void* const& output);
Step sign_output_step(const Value& value, const BitPlace& from,
                      void* const& output);

Step channel_mean_step(const Value& value, const RealPlace& from,
                       const RealPlace& to);
Step flatten_step(const Value& value, const RealPlace& from,
                  const RealPlace& to);

// Repeats rows or columns; `to_value` is what it gives.
Step broadcast_step(const Value& value, const RealPlace& from,
                    const Value& to_value, const RealPlace& to);

// Each group of channels moves to words of its own.
Step regroup_step(const Value& value, int64_t groups, const BitPlace& from,
                  const BitPlace& to);

}  // namespace mmreact
