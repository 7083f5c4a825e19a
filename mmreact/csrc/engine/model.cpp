#include "model.h"

#include <cstdlib>

#include "../file/error.h"

namespace mmreact {

namespace {

int thread_count(int threads) {
  if (threads > 0) return std::min(threads, 1024);
  return std::max(1, static_cast<int>(std::thread::hardware_concurrency()));
}

}  // namespace

Model::Model(const uint8_t* data, size_t size, const Kernel& kernel,
             int threads)
    : network_(data, size, kernel),
      session_(new Session(network_, thread_count(threads))) {}

Model::~Model() {
  const Session* session = session_;
  if (session->is_of_this_process()) delete session;
}

Value Model::shape_of(int operation, int64_t n, int64_t h, int64_t w) const {
  const Program& p = program();
  return p.infer(n, p.input_shape[0], h, w)[operation];
}

Session& Model::session() {
  Session* session = session_;
  if (session->is_of_this_process()) return *session;
  auto fresh = std::make_unique<Session>(network_, 1);
  if (session_.compare_exchange_strong(session, fresh.get()))
    return *fresh.release();
  return *session;  // that of another thread, which was faster
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
