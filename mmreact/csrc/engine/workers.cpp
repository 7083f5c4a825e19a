#include "workers.h"

#include <algorithm>
#include <chrono>

namespace mmreact {

namespace {

// A step that is shorter is not worth sharing.
constexpr double kLeastCost = 4000;
constexpr int64_t kChunksPerThread = 4;
// Workers wait so long for the next step before they sleep, some 0.3 ms.
constexpr int kSpins = 20000;
using Clock = std::chrono::steady_clock;
// Waiting for the last chunk of a step takes longer than this only if a
// worker lost its core.
constexpr std::chrono::microseconds kStall(60);
constexpr int kLongestBackOff = 256, kGoodRuns = 4;

inline void pause() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

}  // namespace

Workers::Workers(int threads) {
  try {
    for (int i = 1; i < threads; ++i)
      workers_.emplace_back([this] { work(); });
  } catch (...) {  // the system allows no more threads
    stop();
    throw;
  }
}

Workers::~Workers() { stop(); }

void Workers::stop() {
  {
    std::lock_guard<std::mutex> lock(mutex_);
    stop_ = true;
  }
  wake_.notify_all();
  for (std::thread& worker : workers_) worker.join();
}

void Workers::work() {
  while (!stop_) {
    int spins = 0;
    while (!run_chunk()) {
      if (stop_) return;
      pause();
      if (++spins < kSpins) continue;
      std::unique_lock<std::mutex> lock(mutex_);
      ++sleeping_;
      wake_.wait(lock, [this] {
        return stop_ || static_cast<uint32_t>(ticket_.load()) > 0;
      });
      --sleeping_;
      spins = 0;
    }
  }
}

bool Workers::run_chunk() {
  uint64_t ticket = ticket_.load(std::memory_order_acquire);
  while (static_cast<uint32_t>(ticket) > 0) {
    if (!ticket_.compare_exchange_weak(ticket, ticket - 1,
                                       std::memory_order_acquire))
      continue;
    // As long as this chunk is not done, step and chunks stay as they are.
    const int64_t chunk = chunks_ - static_cast<uint32_t>(ticket);
    step_->run(step_->units * chunk / chunks_,
               step_->units * (chunk + 1) / chunks_);
    done_.fetch_add(1, std::memory_order_release);
    return true;
  }
  return false;
}

// Returns for how long a worker stalled.
Clock::duration Workers::run_shared(const Step& step, int64_t chunks) {
  step_ = &step;
  chunks_ = chunks;
  done_.store(0, std::memory_order_relaxed);
  const uint64_t epoch = (ticket_.load(std::memory_order_relaxed) >> 32) + 1;
  ticket_.store(epoch << 32 | static_cast<uint64_t>(chunks));
  if (sleeping_.load() > 0) {
    std::lock_guard<std::mutex> lock(mutex_);
    wake_.notify_all();
  }
  while (run_chunk()) {
  }
  Clock::time_point start{};
  Clock::duration stalled{};
  for (int spins = 1; done_.load(std::memory_order_acquire) != chunks;
       ++spins) {
    pause();
    if (spins % 256 != 0) continue;
    const auto now = Clock::now();
    if (start == Clock::time_point{}) start = now;
    if (now - start > kStall) {
      stalled = now - start;
      std::this_thread::yield();
    }
  }
  return stalled;
}

void Workers::run(const std::vector<Step>& steps) {
  const bool shared = !workers_.empty() && alone_ == 0;
  if (alone_ > 0) --alone_;
  if (shared) affinity_.keep_away(workers_);
  const Clock::time_point start = Clock::now();
  Clock::duration stalled{};
  for (const Step& step : steps) {
    const int64_t chunks =
        std::min<int64_t>(step.units, kChunksPerThread * threads());
    if (shared && chunks > 1 && step.cost >= kLeastCost)
      stalled += run_shared(step, chunks);
    else
      step.run(0, step.units);
  }
  if (!shared) return;
  // Alone it takes as many times as long as there are threads, without stalls.
  if (stalled * threads() > (Clock::now() - start) * (threads() - 1)) {
    alone_ = back_off_;
    back_off_ = std::min(back_off_ * 2, kLongestBackOff);
    good_ = 0;
  } else if (++good_ == kGoodRuns) {
    back_off_ = std::max(back_off_ / 2, 1);
    good_ = 0;
  }
}

}  // namespace mmreact
