// What is between MMREACT_TARGET("avx2,fma") and MMREACT_TARGET_END is
// compiled for a processor with these instructions. Headers of the system come
// before.
#pragma once

#include "kernel.h"

#define MMREACT_PRAGMA(x) _Pragma(#x)
#if defined(__clang__)
#define MMREACT_TARGET(isa)                                         \
  MMREACT_PRAGMA(clang attribute push(__attribute__((target(isa))), \
                                      apply_to = function))
#define MMREACT_TARGET_END MMREACT_PRAGMA(clang attribute pop)
#else
// gcc would use vectors of half the length.
#define MMREACT_TARGET(isa)        \
  MMREACT_PRAGMA(GCC push_options) \
  MMREACT_PRAGMA(GCC target(isa))  \
  MMREACT_PRAGMA(GCC target("prefer-vector-width=512"))
#define MMREACT_TARGET_END MMREACT_PRAGMA(GCC pop_options)
#endif
