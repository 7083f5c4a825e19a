// Where the values of a plan lie. Real values are pixels of channels, signs
// words with a border of zeros. What is not needed at the same time shares
// memory; a Concat's inputs are parts of it; an elementwise result may take
// the place of an operand that nobody needs any more.
#pragma once

#include <memory>
#include <vector>

#include "chains.h"

namespace mmreact {

// The pixels of a value: an image has rows and columns, vectors are one row.
struct Sheet {
  explicit Sheet(const Value& v)
      : images(v.image ? v.n : 1),
        height(v.image ? v.h : 1),
        width(v.image ? v.w : v.n) {}

  int64_t pixels() const { return height * width; }

  int64_t images, height, width;
};

// A real value: pixel i of image n begins at data + (n pixels + i) pitch.
struct RealPlace {
  int slot = -1;
  int64_t channel = 0, pitch = 0;
  float* data = nullptr;
};

// Signs: data is the first word of the first pixel, behind the border.
struct BitPlace {
  int slot = -1;
  int64_t word = 0;
  int64_t image = 0, row = 0, pixel = 0;  // strides in words
  uint32_t* data = nullptr;
};

class Memory {
 public:
  // Adds to the tasks those that copy into a Concat what cannot be made there.
  Memory(const Graph& graph, const Program& program, Tasks& tasks);

  const RealPlace& real(int node) const { return real_[node]; }
  const BitPlace& bits(int node) const { return bits_[node]; }
  size_t bytes() const { return bytes_; }

 private:
  friend class MemoryPlanner;

  struct Free {
    void operator()(void* p) const;
  };

  std::vector<RealPlace> real_;
  std::vector<BitPlace> bits_;
  std::unique_ptr<void, Free> block_;
  size_t bytes_ = 0;
};

// The nodes whose memory a task reads.
std::vector<int> reads(const Graph& graph, const Tasks& tasks,
                       const Task& task);

}  // namespace mmreact
