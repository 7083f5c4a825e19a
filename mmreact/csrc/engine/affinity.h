// Where worker threads may run.
#pragma once

#include <thread>
#include <vector>

#if defined(__linux__)
#include <pthread.h>
#include <sched.h>
#endif

namespace mmreact {

// Keeps workers off the core of the thread that waits for them. Where it wakes
// them, Linux likes to run them, and the one waits for the other then.
class Affinity {
#if defined(__linux__)
 public:
  Affinity() {
    if (sched_getaffinity(0, sizeof allowed_, &allowed_)) CPU_ZERO(&allowed_);
  }

  // From the waiting thread. Costs next to nothing if it was not moved.
  void keep_away(std::vector<std::thread>& workers) {
    const int core = sched_getcpu();
    if (core == core_) return;
    core_ = core;
    cpu_set_t others = allowed_;
    if (core >= 0 && core < CPU_SETSIZE) CPU_CLR(core, &others);
    if (CPU_COUNT(&others) == 0) return;
    // Where that is forbidden they stay as they are.
    for (std::thread& worker : workers)
      pthread_setaffinity_np(worker.native_handle(), sizeof others, &others);
  }

 private:
  cpu_set_t allowed_;
  int core_ = -1;
#else
 public:
  void keep_away(std::vector<std::thread>&) {}
#endif
};

}  // namespace mmreact
