// A small pool of threads that share the steps of a plan with the caller.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

#include "affinity.h"

namespace mmreact {

// Something to do in equal, independent units.
struct Step {
  int64_t units = 0;
  double cost = 0;  // rough nanoseconds of all units on one thread
  std::function<void(int64_t first, int64_t last)> run;
};

// The units of a step are handed out in chunks, by one atomic ticket that the
// caller takes from too. So nobody waits for a worker that lost its core,
// unless that happened within a chunk.
class Workers {
 public:
  explicit Workers(int threads);
  ~Workers();

  int threads() const { return static_cast<int>(workers_.size()) + 1; }

  // Runs the steps one after the other; not from two threads at once.
  void run(const std::vector<Step>& steps);

 private:
  void stop();
  void work();
  bool run_chunk();
  std::chrono::steady_clock::duration run_shared(const Step& step,
                                                 int64_t chunks);

  // Epoch in the upper half, chunks that nobody took yet in the lower one.
  // The step is changed only while there are none and all are done.
  std::atomic<uint64_t> ticket_{0};
  std::atomic<int64_t> done_{0};
  const Step* step_ = nullptr;
  int64_t chunks_ = 0;

  std::atomic<int> sleeping_{0};
  std::atomic<bool> stop_{false};
  std::mutex mutex_;
  std::condition_variable wake_;
  std::vector<std::thread> workers_;
  Affinity affinity_;

  // After stalls that cost more than sharing gave, so many runs are made by
  // the caller alone; twice as many each time it happens again, half as many
  // after some without.
  int alone_ = 0, back_off_ = 1, good_ = 0;
};

}  // namespace mmreact
