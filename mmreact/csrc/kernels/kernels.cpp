#include <cmath>
#include <cstring>

#include "kernel.h"

namespace mmreact {

extern const Kernel kPortable;
#if defined(__x86_64__)
extern const Kernel kAvx2, kAvx512;
#endif

const Kernel* const kKernels[] = {
#if defined(__x86_64__)
    &kAvx512,
    &kAvx2,
#endif
    &kPortable,
};
const int kKernelCount = sizeof kKernels / sizeof *kKernels;

const Kernel* find_kernel(const char* name) {
  for (int i = 0; i < kKernelCount; ++i)
    if (std::strcmp(kKernels[i]->name, name) == 0) return kKernels[i];
  return nullptr;
}

void sigmoid(float* values, int count) {
  for (int i = 0; i < count; ++i)
    values[i] = static_cast<float>(
        1 / (1 + std::exp(-static_cast<double>(values[i]))));
}

void tanh(float* values, int count) {
  for (int i = 0; i < count; ++i)
    values[i] = static_cast<float>(std::tanh(static_cast<double>(values[i])));
}

}  // namespace mmreact
