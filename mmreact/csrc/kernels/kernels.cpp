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

namespace {

double rare(const PostOp& op, double x) {
  switch (op.kind) {
    case Post::kAbs:
      return std::fabs(x);
    case Post::kTanh:
      return std::tanh(x);
    case Post::kGELU:
      return x / 2 * std::erfc(x * -std::sqrt(0.5));
    case Post::kELU:
      return x > 0 ? x : op.alpha * std::expm1(x);
    case Post::kSoftplus:
      return std::fmax(x, 0) + std::log1p(std::exp(-std::fabs(x)));
    case Post::kAdd:
    case Post::kAddPooled:
    case Post::kMultiply:
    case Post::kAffine:
    case Post::kRPReLU:
    case Post::kRPReLULargest:
    case Post::kClamp:
    case Post::kHardsigmoid:
    case Post::kHardswish:
    case Post::kSigmoid:
    case Post::kSiLU:
    case Post::kGELUTanh:
      break;
  }
  __builtin_unreachable();  // the kernels have vector code for the others
}

}  // namespace

const Kernel* find_kernel(const char* name) {
  for (int i = 0; i < kKernelCount; ++i)
    if (std::strcmp(kKernels[i]->name, name) == 0) return kKernels[i];
  return nullptr;
}

void apply_rare(const PostOp& op, float* values, int count) {
  for (int i = 0; i < count; ++i)
    values[i] = static_cast<float>(rare(op, values[i]));
}

}  // namespace mmreact
