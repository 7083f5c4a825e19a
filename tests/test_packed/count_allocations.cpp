// Runs a packed file on zeros, three times, and prints how often memory was
// allocated in the first and in the last run, by any thread.
//
//     count_allocations FILE THREADS
#include <stdio.h>
#include <stdlib.h>

#include <atomic>
#include <new>
#include <vector>

#include "mmreact.h"

static std::atomic<long> allocations{0};

extern "C" void* __libc_malloc(size_t);
extern "C" void* __libc_calloc(size_t, size_t);
extern "C" void* __libc_realloc(void*, size_t);
extern "C" void* __libc_memalign(size_t, size_t);

// operator new and aligned memory come from these too.
extern "C" void* malloc(size_t size) {
  ++allocations;
  return __libc_malloc(size);
}
extern "C" void* calloc(size_t count, size_t size) {
  ++allocations;
  return __libc_calloc(count, size);
}
extern "C" void* realloc(void* old, size_t size) {
  ++allocations;
  return __libc_realloc(old, size);
}
extern "C" void* aligned_alloc(size_t alignment, size_t size) {
  ++allocations;
  return __libc_memalign(alignment, size);
}
extern "C" int posix_memalign(void** out, size_t alignment, size_t size) {
  ++allocations;
  *out = __libc_memalign(alignment, size);
  return *out ? 0 : 12;
}

int main(int argc, char** argv) {
  if (argc != 3) return 2;
  mmr_model* model = mmr_load_file(argv[1], nullptr, atoi(argv[2]));
  if (!model) return fprintf(stderr, "%s\n", mmr_error()), 1;
  int64_t in[3], out[4];
  int sign, dims;
  mmr_input_shape(model, in);
  const char* name = mmr_output_name(model);
  if (mmr_result_shape(model, name, 1, in[1], in[2], &sign, out, &dims))
    return fprintf(stderr, "%s\n", mmr_error()), 1;
  size_t size = 1;
  for (int i = 0; i < dims; ++i) size *= out[i];
  std::vector<float> x(in[0] * in[1] * in[2]), y(size);
  void* const outputs[] = {y.data()};
  const size_t bytes[] = {4 * y.size()};
  long counts[3];
  for (long& count : counts) {
    const long before = allocations;
    if (mmr_run(model, x.data(), 4 * x.size(), 1, in[1], in[2], 1, &name,
                outputs, bytes))
      return fprintf(stderr, "%s\n", mmr_error()), 1;
    count = allocations - before;
  }
  printf("%ld %ld\n", counts[0], counts[2]);
  mmr_free(model);
}
