#include "json.h"

#include <charconv>
#include <cmath>
#include <unordered_set>

#include "error.h"

namespace mmreact {

namespace {

constexpr int kMaxDepth = 64;

}  // namespace

class JsonParser {
 public:
  explicit JsonParser(std::string_view text)
      : at_(text.data()), end_(text.data() + text.size()), begin_(at_) {}

  Json document() {
    Json value = parse(0);
    space();
    if (at_ != end_) fail("text behind the value");
    return value;
  }

 private:
  [[noreturn]] void fail(const char* what) const {
    throw Error("JSON has " + std::string(what) + " at byte " +
                std::to_string(at_ - begin_));
  }

  // The next byte; 0 at the end. A zero byte is nowhere legal in JSON.
  unsigned char peek() const {
    return at_ == end_ ? 0 : static_cast<unsigned char>(*at_);
  }

  void space() {
    while (at_ != end_ &&
           (*at_ == ' ' || *at_ == '\n' || *at_ == '\r' || *at_ == '\t'))
      ++at_;
  }

  bool take(char c) {
    if (peek() != static_cast<unsigned char>(c)) return false;
    ++at_;
    return true;
  }

  void word(std::string_view expected) {
    if (std::string_view(at_, end_ - at_).substr(0, expected.size()) !=
        expected)
      fail("an unknown word");
    at_ += expected.size();
  }

  Json parse(int depth) {
    if (depth > kMaxDepth) fail("too deep nesting");
    space();
    Json value;
    switch (peek()) {
      case '{':
        object(value, depth);
        break;
      case '[':
        array(value, depth);
        break;
      case '"':
        value.type_ = Json::Type::kString;
        value.string_ = string();
        break;
      case 't':
        word("true");
        value.type_ = Json::Type::kBool;
        value.number_ = 1;
        break;
      case 'f':
        word("false");
        value.type_ = Json::Type::kBool;
        break;
      case 'n':
        word("null");
        break;
      default:
        number(value);
    }
    return value;
  }

  void object(Json& value, int depth) {
    value.type_ = Json::Type::kObject;
    std::unordered_set<std::string> keys;
    ++at_;
    space();
    if (take('}')) return;
    do {
      space();
      if (peek() != '"') fail("a key that is no string");
      std::string key = string();
      if (!keys.insert(key).second) fail("a key that occurs twice");
      space();
      if (!take(':')) fail("a key without a value");
      value.object_.emplace_back(std::move(key), parse(depth + 1));
      space();
    } while (take(','));
    if (!take('}')) fail("an object that does not end");
  }

  void array(Json& value, int depth) {
    value.type_ = Json::Type::kArray;
    ++at_;
    space();
    if (take(']')) return;
    do {
      value.array_.push_back(parse(depth + 1));
      space();
    } while (take(','));
    if (!take(']')) fail("an array that does not end");
  }

  void digits() {
    if (peek() < '0' || peek() > '9') fail("a wrong number");
    while (peek() >= '0' && peek() <= '9') ++at_;
  }

  void number(Json& value) {
    const char* start = at_;
    take('-');
    const bool zero = peek() == '0';
    const char* first = at_;
    digits();
    if (zero && at_ - first > 1) fail("a number with leading zeros");
    value.type_ = Json::Type::kInteger;
    if (take('.')) {
      value.type_ = Json::Type::kReal;
      digits();
    }
    if (peek() == 'e' || peek() == 'E') {
      value.type_ = Json::Type::kReal;
      ++at_;
      if (!take('+')) take('-');
      digits();
    }
    // Unlike strtod it does not depend on the locale.
    const auto result = std::from_chars(start, at_, value.number_);
    if (result.ec != std::errc()) value.number_ = HUGE_VAL;
  }

  std::string string() {
    std::string text;
    ++at_;
    while (!take('"')) {
      const unsigned char c = peek();
      if (at_ == end_ || c < 0x20) fail("a string that does not end");
      if (c == '\\') {
        ++at_;
        escape(text);
      } else if (c < 0x80) {
        text += *at_++;
      } else {
        utf8(text);
      }
    }
    return text;
  }

  void escape(std::string& text) {
    const unsigned char c = peek();
    const std::string_view from = "\"\\/bfnrt", to = "\"\\/\b\f\n\r\t";
    const size_t i = c ? from.find(static_cast<char>(c)) : from.npos;
    if (i != from.npos) {
      ++at_;
      text += to[i];
      return;
    }
    if (c != 'u') fail("an unknown escape");
    uint32_t code = hex4();
    if (code >= 0xD800 && code < 0xDC00) {
      if (!take('\\') || peek() != 'u') fail("a lone surrogate");
      const uint32_t low = hex4();
      if (low < 0xDC00 || low > 0xDFFF) fail("a lone surrogate");
      code = 0x10000 + ((code - 0xD800) << 10) + (low - 0xDC00);
    } else if (code >= 0xDC00 && code < 0xE000) {
      fail("a lone surrogate");
    }
    append(text, code);
  }

  // Four hexadecimal digits behind the letter u.
  uint32_t hex4() {
    ++at_;
    uint32_t code = 0;
    for (int i = 0; i < 4; ++i) {
      const unsigned char c = peek();
      const int digit = c >= '0' && c <= '9'   ? c - '0'
                        : c >= 'a' && c <= 'f' ? c - 'a' + 10
                        : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                               : -1;
      if (digit < 0) fail("a wrong escape");
      code = code * 16 + digit;
      ++at_;
    }
    return code;
  }

  static void append(std::string& text, uint32_t code) {
    if (code < 0x80) {
      text += static_cast<char>(code);
      return;
    }
    const int tail = code < 0x800 ? 1 : code < 0x10000 ? 2 : 3;
    const uint32_t lead[] = {0, 0xC0, 0xE0, 0xF0};
    text += static_cast<char>(lead[tail] | code >> (6 * tail));
    for (int i = tail - 1; i >= 0; --i)
      text += static_cast<char>(0x80 | (code >> (6 * i) & 0x3F));
  }

  // One character of two to four bytes: the shortest form, no surrogate.
  void utf8(std::string& text) {
    const unsigned char c = peek();
    const int tail = c >= 0xC2 && c < 0xE0    ? 1
                     : c >= 0xE0 && c < 0xF0  ? 2
                     : c >= 0xF0 && c <= 0xF4 ? 3
                                              : 0;
    if (tail == 0 || end_ - at_ <= tail) fail("bytes that are not UTF-8");
    uint32_t code = c & (0x3F >> tail);
    for (int i = 1; i <= tail; ++i) {
      const unsigned char next = at_[i];
      if ((next & 0xC0) != 0x80) fail("bytes that are not UTF-8");
      code = code << 6 | (next & 0x3F);
    }
    const bool shortest = code >= (tail == 1   ? 0x80u
                                   : tail == 2 ? 0x800u
                                               : 0x10000u);
    if (!shortest || code > 0x10FFFF || (code >= 0xD800 && code < 0xE000))
      fail("bytes that are not UTF-8");
    text.append(at_, tail + 1);
    at_ += tail + 1;
  }

  const char* at_;
  const char* end_;
  const char* begin_;
};

Json Json::parse(std::string_view text) { return JsonParser(text).document(); }

bool Json::boolean(const std::string& what) const {
  require(type_ == Type::kBool, what + " is not true or false");
  return number_ != 0;
}

int64_t Json::integer(const std::string& what, int64_t least,
                      int64_t most) const {
  require(type_ == Type::kInteger, what + " is not an integer");
  // All bounds that are used are far below 2^53, where doubles are exact.
  require(number_ >= static_cast<double>(least) &&
              number_ <= static_cast<double>(most),
          what + " is not between " + std::to_string(least) + " and " +
              std::to_string(most));
  return static_cast<int64_t>(number_);
}

double Json::number(const std::string& what) const {
  require(type_ == Type::kInteger || type_ == Type::kReal,
          what + " is not a number");
  require(std::isfinite(number_), what + " is too large");
  return number_;
}

const std::string& Json::string(const std::string& what) const {
  require(type_ == Type::kString, what + " is not a string");
  return string_;
}

const std::vector<Json>& Json::array(const std::string& what) const {
  require(type_ == Type::kArray, what + " is not an array");
  return array_;
}

const std::vector<std::pair<std::string, Json>>& Json::object(
    const std::string& what) const {
  require(type_ == Type::kObject, what + " is not an object");
  return object_;
}

const Json* Json::find(std::string_view key) const {
  for (const auto& [name, value] : object_)
    if (name == key) return &value;
  return nullptr;
}

}  // namespace mmreact
