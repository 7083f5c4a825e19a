// A loaded program with its plans; any number of threads may run it.
#pragma once

#include <list>
#include <mutex>
#include <string>

#include "plan.h"

namespace mmreact {

// Number, height and width of the images of a call.
struct Shape {
  int64_t n, h, w;
};

class Model {
 public:
  // Throws Error if the bytes are not a packed file.
  Model(const uint8_t* data, size_t size, const Kernel& kernel, int threads);

  const Program& program() const { return program_; }
  const Kernel& kernel() const { return kernel_; }

  // Index of an operation; throws Error if there is none of this name.
  int find(const char* name) const;

  Value shape_of(int operation, int64_t n, int64_t h, int64_t w) const;

  // Arguments as those of mmr_run. Throws Error if the program cannot take the
  // shape, or if a buffer does not have as many bytes as it should.
  void run(const float* input, size_t input_bytes, const Shape& shape,
           int count, const char* const* names, void* const* outputs,
           const size_t* bytes);

 private:
  // A plan and what it is for.
  struct Entry {
    Shape shape;
    std::vector<std::string> names;
    Plan plan;

    bool is_for(const Shape& shape, int count, const char* const* names) const;
  };

  Plan& find_plan(const Shape& shape, int count, const char* const* names);

  Program program_;
  std::vector<Prepared> prepared_;
  const Kernel& kernel_;
  Workers workers_;
  std::mutex mutex_;
  std::list<Entry> plans_;  // latest first
};

// The kernel of a name or, if that is null or empty, of the environment's
// MMREACT_KERNEL or the fastest that this processor has. Throws Error if
// there is none.
const Kernel& choose_kernel(const char* name);

}  // namespace mmreact
