// What a process needs to run a model: plans, threads and a lock.
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

// Constants of a model; they never change after it was loaded.
struct Network {
  Network(const uint8_t* data, size_t size, const Kernel& kernel);

  Program program;
  std::vector<Prepared> prepared;
  const Kernel& kernel;

  // Index of an operation; throws Error if there is none of this name.
  int find(const char* name) const;
};

// Belongs to the process that made it. In a child of that process its lock may
// be held, its plans half made, and its threads are gone: a child makes a
// session of its own and leaves this one alone, even its memory.
class Session {
 public:
  Session(const Network& network, int threads);

  bool is_of_this_process() const;

  // Arguments as those of mmr_run. Throws Error if the program cannot take the
  // shape, or if a buffer does not have as many bytes as it should. Calls wait
  // for each other.
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

  const Network& network_;
  const int process_;
  Workers workers_;
  std::mutex mutex_;
  std::list<Entry> plans_;  // latest first
};

}  // namespace mmreact
