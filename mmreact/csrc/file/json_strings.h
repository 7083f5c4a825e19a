// Strings in the text of JSON: UTF-8, escapes, surrogates.
#pragma once

#include <string>
#include <string_view>

namespace mmreact {

struct JsonString {
  size_t size;        // bytes up to its last quote or what is wrong with it
  const char* error;  // what that is; null if nothing is
};

// The string in quotes that a text begins with. `decoded` gets its characters
// in UTF-8, without escapes, if it is not null.
JsonString scan_json_string(std::string_view text,
                            std::string* decoded = nullptr);

}  // namespace mmreact
