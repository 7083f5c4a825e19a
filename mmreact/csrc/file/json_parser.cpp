#include "json_parser.h"

#include <algorithm>

#include "error.h"
#include "json_strings.h"

namespace mmreact {

namespace {

constexpr int kMaxDepth = 64;

template <class T>
bool has_duplicates(std::vector<T>& keys) {
  std::sort(keys.begin(), keys.end());
  return std::adjacent_find(keys.begin(), keys.end()) != keys.end();
}

class Parser {
 public:
  explicit Parser(std::string_view text)
      : text_(text), at_(text.data()), end_(text.data() + text.size()) {
    // Each value but the first stands behind one of these.
    tokens_.reserve(1 + std::count_if(text.begin(), text.end(), [](char c) {
                      return c == ',' || c == ':' || c == '[' || c == '{';
                    }));
  }

  std::vector<JsonToken> document() {
    value(0);
    space();
    if (at_ != end_) fail("text behind the value");
    return std::move(tokens_);
  }

 private:
  [[noreturn]] void fail(const char* what) const {
    throw Error("JSON has " + std::string(what) + " at byte " +
                std::to_string(at_ - text_.data()));
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

  // Begins a token here and returns its index.
  size_t begin() {
    tokens_.push_back({static_cast<uint32_t>(at_ - text_.data()), 0, 1});
    return tokens_.size() - 1;
  }

  // Ends a token that has no members.
  void end(size_t index) {
    JsonToken& token = tokens_[index];
    token.size = static_cast<uint32_t>(at_ - text_.data()) - token.begin;
  }

  void value(int depth) {
    if (depth > kMaxDepth) fail("too deep nesting");
    space();
    const size_t index = begin();
    switch (peek()) {
      case '{':
        return object(index, depth);
      case '[':
        return array(index, depth);
      case '"':
        string();
        break;
      case 't':
        word("true");
        break;
      case 'f':
        word("false");
        break;
      case 'n':
        word("null");
        break;
      default:
        number();
    }
    end(index);
  }

  void object(size_t index, int depth) {
    uint32_t members = 0;
    ++at_;
    space();
    if (!take('}')) {
      do {
        space();
        if (peek() != '"') fail("a key that is no string");
        const size_t key = begin();
        string();
        end(key);
        space();
        if (!take(':')) fail("a key without a value");
        value(depth + 1);
        ++members;
        space();
      } while (take(','));
      if (!take('}')) fail("an object that does not end");
    }
    close(index, members);
    check_keys(index);
  }

  void array(size_t index, int depth) {
    uint32_t members = 0;
    ++at_;
    space();
    if (!take(']')) {
      do {
        value(depth + 1);
        ++members;
        space();
      } while (take(','));
      if (!take(']')) fail("an array that does not end");
    }
    close(index, members);
  }

  void close(size_t index, uint32_t members) {
    tokens_[index].size = members;
    tokens_[index].tokens = static_cast<uint32_t>(tokens_.size() - index);
  }

  void check_keys(size_t index) const {
    std::vector<std::string_view> keys;
    keys.reserve(tokens_[index].size);
    bool escaped = false;
    for (size_t i = index + 1; i < tokens_.size();
         i += 1 + tokens_[i + 1].tokens) {
      keys.push_back(text_.substr(tokens_[i].begin, tokens_[i].size));
      escaped = escaped || keys.back().find('\\') != std::string_view::npos;
    }
    bool twice = false;
    if (escaped) {
      std::vector<std::string> decoded;
      for (const std::string_view key : keys)
        decoded.push_back(decode_json_string(key));
      twice = has_duplicates(decoded);
    } else {
      twice = has_duplicates(keys);
    }
    if (twice) fail("a key that occurs twice in the object that ends");
  }

  void word(std::string_view expected) {
    if (std::string_view(at_, end_ - at_).substr(0, expected.size()) !=
        expected)
      fail("an unknown word");
    at_ += expected.size();
  }

  void digits() {
    if (peek() < '0' || peek() > '9') fail("a wrong number");
    while (peek() >= '0' && peek() <= '9') ++at_;
  }

  void number() {
    take('-');
    const bool zero = peek() == '0';
    const char* first = at_;
    digits();
    if (zero && at_ - first > 1) fail("a number with leading zeros");
    if (take('.')) digits();
    if (peek() == 'e' || peek() == 'E') {
      ++at_;
      if (!take('+')) take('-');
      digits();
    }
  }

  void string() {
    const std::string_view rest(at_, end_ - at_);
    const JsonString found = scan_json_string(rest);
    at_ += found.size;
    if (found.error) fail(found.error);
  }

  std::string_view text_;
  const char* at_;
  const char* end_;
  std::vector<JsonToken> tokens_;
};

}  // namespace

std::vector<JsonToken> parse_json(std::string_view text) {
  return Parser(text).document();
}

}  // namespace mmreact
