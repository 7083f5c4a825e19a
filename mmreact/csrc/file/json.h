// A strict JSON parser for text that is not trusted: no duplicate keys, no NaN
// or infinity, no lone surrogates, bounded depth.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace mmreact {

class Json {
 public:
  enum class Type { kNull, kBool, kInteger, kReal, kString, kArray, kObject };

  // Throws Error unless the text is exactly one value, in UTF-8.
  static Json parse(std::string_view text);

  Type type() const { return type_; }

  // What is wanted, or an Error that says what was found instead. `what`
  // names the value in that message.
  bool boolean(const std::string& what) const;
  int64_t integer(const std::string& what, int64_t least, int64_t most) const;
  double number(const std::string& what) const;
  const std::string& string(const std::string& what) const;
  const std::vector<Json>& array(const std::string& what) const;
  const std::vector<std::pair<std::string, Json>>& object(
      const std::string& what) const;

  // The value of a key of an object; null if there is none.
  const Json* find(std::string_view key) const;

 private:
  friend class JsonParser;

  Type type_ = Type::kNull;
  double number_ = 0;  // also of booleans and integers
  std::string string_;
  std::vector<Json> array_;
  std::vector<std::pair<std::string, Json>> object_;
};

}  // namespace mmreact
