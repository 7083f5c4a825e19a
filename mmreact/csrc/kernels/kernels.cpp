#include <cmath>
#include <cstring>

#include "kernel.h"

namespace mmreact {

extern const Kernel kPortable;
#if defined(__x86_64__)
extern const Kernel kAvx2, kAvx512, kAvx512bw;
#elif defined(__aarch64__)
extern const Kernel kNeon;
#endif

const Kernel* const kKernels[] = {
#if defined(__x86_64__)
    &kAvx512,
    &kAvx512bw,
    &kAvx2,
#elif defined(__aarch64__)
    &kNeon,
#endif
    &kPortable,
};
const int kKernelCount = sizeof kKernels / sizeof *kKernels;

const Kernel* find_kernel(const char* name) {
  for (int i = 0; i < kKernelCount; ++i)
    if (std::strcmp(kKernels[i]->name, name) == 0) return kKernels[i];
  return nullptr;
}

void apply_rare(Post kind, float* values, int count) {
  for (int i = 0; i < count; ++i) {
    const double x = values[i];
    values[i] =
        static_cast<float>(kind == Post::kAbs    ? std::fabs(x)
                           : kind == Post::kTanh ? std::tanh(x)
                                                 : 1 / (1 + std::exp(-x)));
  }
}

}  // namespace mmreact
