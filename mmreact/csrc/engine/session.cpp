#include "session.h"

#include <unistd.h>

#include "../file/error.h"

namespace mmreact {

namespace {

// Older plans are dropped; each has memory of its own.
constexpr size_t kMaxPlans = 8;

size_t bytes_of(const Value& v) {
  return static_cast<size_t>(v.n * v.c * v.pixels()) *
         (v.sign ? sizeof(int8_t) : sizeof(float));
}

bool is_aligned(const void* p) {
  return p && reinterpret_cast<uintptr_t>(p) % alignof(float) == 0;
}

}  // namespace

Network::Network(const uint8_t* data, size_t size, const Kernel& kernel_in)
    : program(decode_program(parse_container(data, size))),
      prepared(prepare(program, kernel_in)),
      kernel(kernel_in) {}

int Network::find(const char* name) const {
  const auto found = program.by_name.find(name);
  require(found != program.by_name.end() && found->second != 0,
          "there is no operation '" + std::string(name) + "'");
  return found->second;
}

Session::Session(const Network& network, int threads)
    : network_(network), process_(getpid()), workers_(threads) {}

bool Session::is_of_this_process() const { return process_ == getpid(); }

bool Session::Entry::is_for(const Shape& s, int count,
                            const char* const* wanted) const {
  if (shape.n != s.n || shape.h != s.h || shape.w != s.w ||
      names.size() != static_cast<size_t>(count))
    return false;
  for (int i = 0; i < count; ++i)
    if (!wanted[i] || names[i] != wanted[i]) return false;
  return true;
}

Plan& Session::find_plan(const Shape& shape, int count,
                         const char* const* names) {
  for (auto it = plans_.begin(); it != plans_.end(); ++it)
    if (it->is_for(shape, count, names)) {
      plans_.splice(plans_.begin(), plans_, it);
      return it->plan;
    }
  std::vector<int> wanted;
  std::vector<std::string> copies;
  for (int i = 0; i < count; ++i) {
    require(names[i], "a name is missing");
    wanted.push_back(network_.find(names[i]));
    copies.emplace_back(names[i]);
  }
  // Not more than kMaxPlans even while the new one is made.
  while (plans_.size() >= kMaxPlans) plans_.pop_back();
  plans_.push_front({shape, std::move(copies),
                     Plan(network_.program, network_.prepared, network_.kernel,
                          shape.n, shape.h, shape.w, wanted)});
  return plans_.front().plan;
}

void Session::run(const float* input, size_t input_bytes, const Shape& shape,
                  int count, const char* const* names, void* const* outputs,
                  const size_t* bytes) {
  const std::lock_guard<std::mutex> lock(mutex_);
  Plan& plan = find_plan(shape, count, names);
  const int64_t channels = network_.program.input_shape[0];
  require(input_bytes ==
              static_cast<size_t>(shape.n * channels * shape.h * shape.w) *
                  sizeof(float),
          "the input has a wrong number of bytes");
  require(is_aligned(input), "the input is missing or not aligned");
  for (int i = 0; i < count; ++i) {
    const Value& v = plan.values()[i];
    if (bytes[i] != bytes_of(v))
      throw Error("the output for '" + std::string(names[i]) + "' has " +
                  std::to_string(bytes[i]) + " bytes; " + to_string(v) +
                  " has " + std::to_string(bytes_of(v)));
    require(outputs[i] && (v.sign || is_aligned(outputs[i])),
            "an output is missing or not aligned");
  }
  plan.run(input, outputs, workers_);
}

}  // namespace mmreact
