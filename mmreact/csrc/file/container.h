// Safetensors files: tensors by name and strings by key, checked before use.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace mmreact {

enum class Dtype { kU8, kF16, kF32, kU64 };

struct RawTensor {
  Dtype dtype;
  std::vector<int64_t> shape;
  const uint8_t* data;  // in the buffer of the file, of any alignment
  int64_t count;        // numbers
};

struct Container {
  std::map<std::string, std::string> metadata;
  std::map<std::string, RawTensor> tensors;
};

// The content of a safetensors file. The tensors point into `data`. Throws
// Error unless header and tensors cover all bytes, each once.
Container parse_container(const uint8_t* data, size_t size);

// All bytes of a regular file.
std::vector<uint8_t> read_file(const char* path);

}  // namespace mmreact
