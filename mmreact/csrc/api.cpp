// The C ABI: checks what callers give, and turns exceptions into errors.
#include <exception>
#include <new>

#include "engine/model.h"
#include "file/error.h"
#include "include/mmreact.h"

using mmreact::Error;
using mmreact::Model;
using mmreact::require;

struct mmr_model {
  Model model;
};

namespace {

thread_local std::string last_error;

// Calls a function; false if it threw.
template <class F>
bool guarded(const F& function) noexcept {
  try {
    try {
      function();
      return true;
    } catch (const std::bad_alloc&) {
      last_error = "there is not enough memory";
    } catch (const std::exception& error) {
      last_error = error.what();
    }
  } catch (...) {
    // No memory for the message; the one before stays.
  }
  return false;
}

mmr_model* load(const uint8_t* data, size_t size, const char* kernel,
                int threads) {
  require(threads >= 0, "the number of threads is negative");
  return new mmr_model{{data, size, mmreact::choose_kernel(kernel), threads}};
}

}  // namespace

int mmr_abi_version() { return MMR_ABI_VERSION; }

const char* mmr_error() { return last_error.c_str(); }

const char* mmr_kernel_name(int index) {
  return index >= 0 && index < mmreact::kKernelCount
             ? mmreact::kKernels[index]->name
             : nullptr;
}

int mmr_kernel_supported(int index) {
  return mmr_kernel_name(index) && mmreact::kKernels[index]->supported();
}

mmr_model* mmr_load_buffer(const void* data, size_t size, const char* kernel,
                           int threads) {
  mmr_model* model = nullptr;
  guarded([&] {
    require(data != nullptr, "there are no bytes");
    model = load(static_cast<const uint8_t*>(data), size, kernel, threads);
  });
  return model;
}

mmr_model* mmr_load_file(const char* path, const char* kernel, int threads) {
  mmr_model* model = nullptr;
  guarded([&] {
    require(path != nullptr, "there is no path");
    try {
      const auto bytes = mmreact::read_file(path);
      model = load(bytes.data(), bytes.size(), kernel, threads);
    } catch (const Error& error) {
      throw Error("Cannot load " + std::string(path) + ": " + error.what());
    }
  });
  return model;
}

void mmr_free(mmr_model* model) { delete model; }

const char* mmr_kernel(const mmr_model* model) {
  return model->model.kernel().name;
}

void mmr_input_shape(const mmr_model* model, int64_t shape[3]) {
  for (int i = 0; i < 3; ++i) shape[i] = model->model.program().input_shape[i];
}

const char* mmr_output_name(const mmr_model* model) {
  const auto& program = model->model.program();
  return program.operations[program.output].name.c_str();
}

const char* mmr_class_name(const mmr_model* model, int64_t index) {
  const auto& classes = model->model.program().classes;
  return index >= 0 && index < static_cast<int64_t>(classes.size())
             ? classes[index].c_str()
             : nullptr;
}

int mmr_normalisation(const mmr_model* model, const float** mean,
                      const float** std, const char** channels) {
  return !guarded([&] {
    const auto& program = model->model.program();
    require(!program.mean.empty(), "the packed file has no preprocessing");
    *mean = program.mean.data();
    *std = program.std.data();
    *channels = program.channels.c_str();
  });
}

int mmr_result_shape(const mmr_model* model, const char* operation, int64_t n,
                     int64_t h, int64_t w, int* sign, int64_t shape[4],
                     int* dims) {
  return !guarded([&] {
    require(operation != nullptr, "there is no name");
    const mmreact::Value v =
        model->model.shape_of(model->model.find(operation), n, h, w);
    *sign = v.sign;
    *dims = v.image ? 4 : 2;
    const int64_t sizes[] = {v.n, v.c, v.h, v.w};
    for (int i = 0; i < *dims; ++i) shape[i] = sizes[i];
  });
}

int mmr_run(mmr_model* model, const float* input, size_t input_bytes,
            int64_t n, int64_t h, int64_t w, int count,
            const char* const* operations, void* const* outputs,
            const size_t* output_bytes) {
  return !guarded([&] {
    require(
        model && input && count > 0 && operations && outputs && output_bytes,
        "an argument is missing");
    model->model.session().run(input, input_bytes, {n, h, w}, count,
                               operations, outputs, output_bytes);
  });
}
