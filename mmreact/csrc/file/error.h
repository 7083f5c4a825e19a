// The one kind of exception: what is wrong, for the user. It is turned into an
// error string at the C ABI and never leaves it.
#pragma once

#include <stdexcept>
#include <string>

namespace mmreact {

struct Error : std::runtime_error {
  using std::runtime_error::runtime_error;
};

inline void require(bool condition, const std::string& message) {
  if (!condition) throw Error(message);
}

// Makes no string where all is well.
inline void require(bool condition, const char* message) {
  if (!condition) throw Error(message);
}

}  // namespace mmreact
