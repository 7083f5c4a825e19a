// Runs a packed file on other processors, or emulated ones:
//   run_packed FILE INPUT N HEIGHT WIDTH NAME...
// INPUT holds raw floats. Writes the raw results one behind the other, and to
// stderr the name of the kernel.
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "mmreact.h"

namespace {

void require(bool condition) {
  if (condition) return;
  std::fprintf(stderr, "%s\n", mmr_error());
  std::exit(1);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 7) return 2;
  mmr_model* model = mmr_load_file(argv[1], nullptr, 2);
  require(model);
  std::fprintf(stderr, "%s\n", mmr_kernel(model));
  std::ifstream file(argv[2], std::ios::binary);
  const std::vector<char> input{std::istreambuf_iterator<char>(file), {}};
  const int64_t n = std::stoll(argv[3]), h = std::stoll(argv[4]),
                w = std::stoll(argv[5]);
  const int count = argc - 6;
  std::vector<std::vector<char>> results;
  std::vector<void*> outputs;
  std::vector<size_t> sizes;
  for (int i = 0; i < count; ++i) {
    int sign, dims;
    int64_t shape[4];
    require(
        !mmr_result_shape(model, argv[6 + i], n, h, w, &sign, shape, &dims));
    size_t size = sign ? 1 : sizeof(float);
    for (int d = 0; d < dims; ++d) size *= static_cast<size_t>(shape[d]);
    results.emplace_back(size);
    outputs.push_back(results.back().data());
    sizes.push_back(size);
  }
  require(!mmr_run(model, reinterpret_cast<const float*>(input.data()),
                   input.size(), n, h, w, count, argv + 6, outputs.data(),
                   sizes.data()));
  for (const auto& result : results)
    std::fwrite(result.data(), 1, result.size(), stdout);
  mmr_free(model);
}
