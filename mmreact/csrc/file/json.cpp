#include "json.h"

#include <algorithm>
#include <charconv>
#include <cmath>

#include "error.h"

namespace mmreact {

namespace {

// The sign of the decimal exponent of a number that no double can hold, which
// is far from 1.
bool is_tiny(std::string_view text) {
  const size_t e = text.find_first_of("eE");
  const std::string_view digits = text.substr(0, e);
  const size_t first = digits.find_first_of("123456789");
  if (first == digits.npos) return true;
  const size_t point = std::min(digits.find('.'), digits.size());
  int64_t power = 0;
  if (e != text.npos) {
    const bool plus = text[e + 1] == '+', minus = text[e + 1] == '-';
    const char* begin = text.data() + e + 1 + plus;
    const auto end = text.data() + text.size();
    if (std::from_chars(begin, end, power).ec != std::errc())
      power = minus ? -(int64_t{1} << 60) : int64_t{1} << 60;
  }
  return power + static_cast<int64_t>(point) - static_cast<int64_t>(first) < 0;
}

}  // namespace

Json::Type Json::type() const {
  switch (text_[token_->begin]) {
    case '{':
      return Type::kObject;
    case '[':
      return Type::kArray;
    case '"':
      return Type::kString;
    case 't':
    case 'f':
      return Type::kBool;
    case 'n':
      return Type::kNull;
    default:
      // There is no negative zero among the integers.
      return raw() == "-0" || raw().find_first_of(".eE") != raw().npos
                 ? Type::kReal
                 : Type::kInteger;
  }
}

void Json::require_type(Type expected, const std::string& what,
                        const char* name) const {
  if (type() != expected) throw Error(what + " is not " + name);
}

bool Json::boolean(const std::string& what) const {
  require_type(Type::kBool, what, "true or false");
  return raw() == "true";
}

int64_t Json::integer(const std::string& what, int64_t least,
                      int64_t most) const {
  require_type(Type::kInteger, what, "an integer");
  int64_t value = 0;
  const auto end = raw().data() + raw().size();
  const bool fits =
      std::from_chars(raw().data(), end, value).ec == std::errc();
  if (!fits || value < least || value > most)
    throw Error(what + " is not between " + std::to_string(least) + " and " +
                std::to_string(most));
  return value;
}

double Json::number(const std::string& what) const {
  if (type() != Type::kInteger) require_type(Type::kReal, what, "a number");
  double value = 0;
  const auto end = raw().data() + raw().size();
  // Unlike strtod it does not depend on the locale.
  const bool fits =
      std::from_chars(raw().data(), end, value).ec == std::errc();
  if (!fits && !is_tiny(raw())) throw Error(what + " is too large");
  return fits ? value : 0;
}

std::string Json::string(const std::string& what) const {
  require_type(Type::kString, what, "a string");
  return decode_json_string(raw());
}

Json::Array Json::array(const std::string& what) const {
  require_type(Type::kArray, what, "an array");
  return Array(*this);
}

Json::Object Json::object(const std::string& what) const {
  require_type(Type::kObject, what, "an object");
  return Object(*this);
}

std::optional<Json> Json::find(std::string_view key) const {
  for (const auto& [name, value] : Object(*this))
    if (name == key) return value;
  return std::nullopt;
}

Json Json::Array::operator[](size_t index) const {
  Iterator at = begin();
  for (size_t i = 0; i < index; ++i) ++at;
  return *at;
}

std::pair<std::string, Json> Json::Object::Iterator::operator*() const {
  return {decode_json_string(key_.raw()), {key_.text_, key_.token_ + 1}};
}

Json::Object::Iterator& Json::Object::Iterator::operator++() {
  key_.token_ += 1 + key_.token_[1].tokens;
  return *this;
}

void require_keys(const Json& json, const std::vector<std::string>& keys,
                  const std::string& what) {
  const Json::Object object = json.object(what);
  for (const std::string& key : keys)
    require(json.find(key).has_value(), what + " has no '" + key + "'");
  for (const auto& [key, value] : object)
    require(std::find(keys.begin(), keys.end(), key) != keys.end(),
            what + " has an unknown '" + key + "'");
}

}  // namespace mmreact
