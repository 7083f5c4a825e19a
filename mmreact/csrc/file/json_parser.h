// A strict JSON parser: no duplicate keys, no NaN or infinity, no lone
// surrogates, bounded depth.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace mmreact {

// A value or a key in the text; the first byte says of what type it is. The
// members of a container follow it, in an object each key before its value.
struct JsonToken {
  uint32_t begin;   // its first byte
  uint32_t size;    // bytes or, of an object or array, members
  uint32_t tokens;  // that it consists of, itself included
};

// Throws Error unless the text is exactly one value, in UTF-8. Needs memory
// for the tokens, and for the keys of one object.
std::vector<JsonToken> parse_json(std::string_view text);

// A string of a parsed text, in quotes, without them and its escapes.
std::string decode_json_string(std::string_view raw);

}  // namespace mmreact
