#include "model.h"

#include <cstdlib>

#include "../file/error.h"

namespace mmreact {

namespace {

// Older plans are dropped; each has memory of its own.
constexpr size_t kMaxPlans = 8;

Program load(const uint8_t* data, size_t size) {
  return decode_program(parse_container(data, size));
}

size_t bytes_of(const Value& v) {
  return static_cast<size_t>(v.n * v.c * v.pixels()) *
         (v.sign ? sizeof(int8_t) : sizeof(float));
}

bool is_aligned(const void* p) {
  return p && reinterpret_cast<uintptr_t>(p) % alignof(float) == 0;
}

int thread_count(int threads) {
  if (threads > 0) return std::min(threads, 1024);
  return std::max(1, static_cast<int>(std::thread::hardware_concurrency()));
}

}  // namespace

Model::Model(const uint8_t* data, size_t size, const Kernel& kernel,
             int threads)
    : program_(load(data, size)),
      prepared_(prepare(program_, kernel)),
      kernel_(kernel),
      workers_(thread_count(threads)) {}

int Model::find(const char* name) const {
  const auto found = program_.by_name.find(name);
  require(found != program_.by_name.end() && found->second != 0,
          "there is no operation '" + std::string(name) + "'");
  return found->second;
}

Value Model::shape_of(int operation, int64_t n, int64_t h, int64_t w) const {
  return program_.infer(n, program_.input_shape[0], h, w)[operation];
}

bool Model::Entry::is_for(const Shape& s, int count,
                          const char* const* wanted) const {
  if (shape.n != s.n || shape.h != s.h || shape.w != s.w ||
      names.size() != static_cast<size_t>(count))
    return false;
  for (int i = 0; i < count; ++i)
    if (!wanted[i] || names[i] != wanted[i]) return false;
  return true;
}

Plan& Model::find_plan(const Shape& shape, int count,
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
    wanted.push_back(find(names[i]));
    copies.emplace_back(names[i]);
  }
  // Not more than kMaxPlans even while the new one is made.
  while (plans_.size() >= kMaxPlans) plans_.pop_back();
  plans_.push_front(
      {shape, std::move(copies),
       Plan(program_, prepared_, kernel_, shape.n, shape.h, shape.w, wanted)});
  return plans_.front().plan;
}

void Model::run(const float* input, size_t input_bytes, const Shape& shape,
                int count, const char* const* names, void* const* outputs,
                const size_t* bytes) {
  const std::lock_guard<std::mutex> lock(mutex_);
  Plan& plan = find_plan(shape, count, names);
  require(
      input_bytes == static_cast<size_t>(shape.n * program_.input_shape[0] *
                                         shape.h * shape.w) *
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

const Kernel& choose_kernel(const char* name) {
  if (!name || !*name) name = std::getenv("MMREACT_KERNEL");
  std::string known;
  for (int i = 0; i < kKernelCount; ++i) {
    const Kernel& kernel = *kKernels[i];
    const bool meant = !name || !*name || name == std::string(kernel.name);
    if (meant && kernel.supported()) return kernel;
    require(!name || !*name || !meant,
            "this processor cannot run the kernel '" +
                std::string(kernel.name) + "'");
    known += (i ? ", " : "") + std::string(kernel.name);
  }
  throw Error("there is no kernel '" + std::string(name) +
              "'; known kernels: " + known);
}

}  // namespace mmreact
