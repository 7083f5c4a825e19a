// A loaded program; any number of threads and processes may run it.
#pragma once

#include <atomic>

#include "session.h"

namespace mmreact {

class Model {
 public:
  // Throws Error if the bytes are not a packed file.
  Model(const uint8_t* data, size_t size, const Kernel& kernel, int threads);
  ~Model();
  Model(const Model&) = delete;

  const Program& program() const { return network_.program; }
  const Kernel& kernel() const { return network_.kernel; }

  // Index of an operation; throws Error if there is none of this name.
  int find(const char* name) const { return network_.find(name); }

  Value shape_of(int operation, int64_t n, int64_t h, int64_t w) const;

  // The session of this process. After a fork the child gets one without
  // threads besides the caller's, since it is one of several as a rule.
  Session& session();

 private:
  const Network network_;
  std::atomic<Session*> session_;
};

// The kernel of a name or, if that is null or empty, of the environment's
// MMREACT_KERNEL or the fastest that this processor has. Throws Error if
// there is none.
const Kernel& choose_kernel(const char* name);

}  // namespace mmreact
