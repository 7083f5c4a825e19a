#include "container.h"

#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <memory>

#include "error.h"
#include "json.h"

namespace mmreact {

namespace {

// As in mmreact/packed/container.py.
constexpr uint64_t kMaxHeader = 1 << 24;
constexpr int64_t kMaxBytes = int64_t{1} << 50;

struct Span {
  int64_t begin, end;
};

Dtype parse_dtype(const std::string& name, const std::string& tensor) {
  if (name == "U8") return Dtype::kU8;
  if (name == "F16") return Dtype::kF16;
  if (name == "F32") return Dtype::kF32;
  if (name == "U64") return Dtype::kU64;
  throw Error("the tensor '" + tensor + "' is none of U64, F32, F16, U8");
}

int64_t bytes_of(Dtype dtype) {
  switch (dtype) {
    case Dtype::kU8:
      return 1;
    case Dtype::kF16:
      return 2;
    case Dtype::kF32:
      return 4;
    default:
      return 8;
  }
}

// Adds a tensor without its place and returns where that is.
Span parse_tensor(const std::string& name, const Json& entry,
                  Container& container) {
  const std::string what = "the tensor '" + name + "'";
  require(entry.object(what).size() == 3, what + " has a wrong entry");
  const auto dtype = entry.find("dtype");
  const auto shape = entry.find("shape");
  const auto offsets = entry.find("data_offsets");
  require(dtype && shape && offsets, what + " has a wrong entry");
  RawTensor tensor{parse_dtype(dtype->string(what), name), {}, nullptr, 1};
  for (const Json& n : shape->array(what)) {
    const int64_t size = n.integer(what + "'s shape", 0, kMaxBytes);
    require(size == 0 || tensor.count <= kMaxBytes / size,
            what + " is too large");
    tensor.count *= size;
    tensor.shape.push_back(size);
  }
  require(offsets->array(what).size() == 2, what + " has a wrong place");
  const Span span{offsets->array(what)[0].integer(what, 0, kMaxBytes),
                  offsets->array(what)[1].integer(what, 0, kMaxBytes)};
  require(span.end - span.begin == tensor.count * bytes_of(tensor.dtype),
          what + " has a place that does not fit its shape");
  container.tensors.emplace(name, std::move(tensor));
  return span;
}

void place_tensors(Container& container,
                   std::vector<std::pair<Span, std::string>>& spans,
                   const uint8_t* data, int64_t size) {
  std::sort(spans.begin(), spans.end(), [](const auto& a, const auto& b) {
    return a.first.begin != b.first.begin ? a.first.begin < b.first.begin
                                          : a.first.end < b.first.end;
  });
  int64_t covered = 0;
  for (const auto& [span, name] : spans) {
    require(span.end <= size, "it is cut off: the tensor '" + name +
                                  "' ends behind its last byte");
    require(span.begin == covered,
            "the tensor '" + name + "' is not right behind the one before");
    container.tensors.at(name).data = data + span.begin;
    covered = span.end;
  }
  require(covered == size, "its bytes are not fully covered by tensors");
}

}  // namespace

Container parse_container(const uint8_t* data, size_t size) {
  uint64_t length = 0;
  if (size >= 9)
    for (int i = 0; i < 8; ++i) length |= uint64_t{data[i]} << (8 * i);
  require(size >= 9 && data[8] == '{' && length <= kMaxHeader,
          "it is not a safetensors file, or cut off (" + std::to_string(size) +
              " bytes)");
  require(length <= size - 8, "it is cut off: " + std::to_string(size) +
                                  " bytes, and its header alone has " +
                                  std::to_string(length));
  const JsonDocument header({reinterpret_cast<const char*>(data + 8), length});
  Container container;
  std::vector<std::pair<Span, std::string>> spans;
  for (const auto& [name, entry] : header.root().object("the header")) {
    if (name == "__metadata__") {
      for (const auto& [key, value] : entry.object("the metadata"))
        container.metadata[key] = value.string("the metadata's " + key);
    } else {
      spans.emplace_back(parse_tensor(name, entry, container), name);
    }
  }
  place_tensors(container, spans, data + 8 + length,
                static_cast<int64_t>(size - 8 - length));
  return container;
}

std::vector<uint8_t> read_file(const char* path) {
  std::unique_ptr<FILE, int (*)(FILE*)> file(std::fopen(path, "rb"),
                                             &std::fclose);
  require(file != nullptr, std::strerror(errno));
  struct stat status;
  require(fstat(fileno(file.get()), &status) == 0 && S_ISREG(status.st_mode),
          "it is not a file");
  // What is no safetensors file may be huge: its start is looked at first.
  uint8_t start[9] = {};
  require(std::fread(start, 1, 9, file.get()) == 9 && start[8] == '{',
          "it is not a safetensors file, or cut off");
  std::vector<uint8_t> bytes(static_cast<size_t>(status.st_size));
  std::rewind(file.get());
  require(
      std::fread(bytes.data(), 1, bytes.size(), file.get()) == bytes.size(),
      "it could not be read to its end");
  return bytes;
}

}  // namespace mmreact
