// A program for one shape of input: steps over memory of its own.
#pragma once

#include <memory>
#include <vector>

#include "step_maker.h"

namespace mmreact {

class Plan {
 public:
  // Throws Error if the program cannot take the shape.
  Plan(const Program& program, const std::vector<Prepared>& prepared,
       const Kernel& kernel, int64_t n, int64_t h, int64_t w,
       const std::vector<int>& wanted);

  // Outputs are (N, C, H, W) or (N, C): floats, of signs int8. One call at a
  // time.
  void run(const float* input, void* const* outputs, Workers& workers);

  const std::vector<Value>& values() const { return values_; }
  size_t bytes() const { return memory_->bytes(); }

 private:
  std::vector<Value> values_;  // of the wanted operations
  Tables tables_;
  std::unique_ptr<Memory> memory_;
  std::vector<Step> steps_;
  // What steps read when they run; it stays in place when a plan is moved.
  std::unique_ptr<const float*> input_;
  std::vector<void*> outputs_;
};

}  // namespace mmreact
