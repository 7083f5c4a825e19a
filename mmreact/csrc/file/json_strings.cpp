#include "json_strings.h"

#include <cstdint>

#include "json_parser.h"

namespace mmreact {

namespace {

class Scanner {
 public:
  Scanner(std::string_view text, std::string* decoded)
      : text_(text), decoded_(decoded) {}

  JsonString scan() {
    ++at_;
    while (!error_ && peek() != '"') {
      const unsigned char c = peek();
      if (c < 0x20)
        error_ = "a string that does not end";
      else if (c == '\\')
        escape();
      else if (c < 0x80)
        append(text_.substr(at_++, 1));
      else
        utf8();
    }
    return {error_ ? at_ : at_ + 1, error_};
  }

 private:
  // The next byte; 0 at the end. A zero byte is nowhere legal in JSON.
  unsigned char peek(size_t ahead = 0) const {
    return at_ + ahead < text_.size()
               ? static_cast<unsigned char>(text_[at_ + ahead])
               : 0;
  }

  void append(std::string_view text) {
    if (decoded_) *decoded_ += text;
  }

  void escape() {
    const unsigned char c = peek(1);
    const std::string_view from = "\"\\/bfnrt", to = "\"\\/\b\f\n\r\t";
    const size_t i = c ? from.find(static_cast<char>(c)) : from.npos;
    if (i != from.npos) {
      at_ += 2;
      return append(to.substr(i, 1));
    }
    const int32_t first = unit();
    if (first < 0) return;
    if (first < 0xD800 || first > 0xDFFF) return append_code(first);
    const bool pair = first < 0xDC00 && peek() == '\\' && peek(1) == 'u';
    const int32_t second = pair ? unit() : 0;
    if (second < 0) return;
    if (second < 0xDC00 || second > 0xDFFF)
      error_ = "a lone surrogate";
    else
      append_code(0x10000 + ((first - 0xD800) << 10) + (second - 0xDC00));
  }

  // Takes \uXXXX; -1 if it is something else.
  int32_t unit() {
    int32_t code = peek(1) == 'u' ? 0 : -1;
    for (int i = 2; i < 6 && code >= 0; ++i) {
      const unsigned char c = peek(i);
      const int digit = c >= '0' && c <= '9'   ? c - '0'
                        : c >= 'a' && c <= 'f' ? c - 'a' + 10
                        : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                               : -1;
      code = digit < 0 ? -1 : code * 16 + digit;
    }
    if (code < 0)
      error_ = "a wrong escape";
    else
      at_ += 6;
    return code;
  }

  void append_code(int32_t code) {
    if (!decoded_) return;
    if (code < 0x80) {
      *decoded_ += static_cast<char>(code);
      return;
    }
    const int tail = code < 0x800 ? 1 : code < 0x10000 ? 2 : 3;
    const int32_t lead[] = {0, 0xC0, 0xE0, 0xF0};
    *decoded_ += static_cast<char>(lead[tail] | code >> (6 * tail));
    for (int i = tail - 1; i >= 0; --i)
      *decoded_ += static_cast<char>(0x80 | (code >> (6 * i) & 0x3F));
  }

  // One character of two to four bytes: the shortest form, no surrogate.
  void utf8() {
    const unsigned char c = peek();
    const int tail = c >= 0xC2 && c < 0xE0    ? 1
                     : c >= 0xE0 && c < 0xF0  ? 2
                     : c >= 0xF0 && c <= 0xF4 ? 3
                                              : 0;
    uint32_t code = c & (0x3F >> tail);
    bool good = tail > 0;
    for (int i = 1; i <= tail; ++i) {
      good = good && (peek(i) & 0xC0) == 0x80;
      code = code << 6 | (peek(i) & 0x3F);
    }
    const uint32_t least = tail == 1 ? 0x80 : tail == 2 ? 0x800 : 0x10000;
    if (!good || code < least || code > 0x10FFFF ||
        (code >= 0xD800 && code < 0xE000)) {
      error_ = "bytes that are not UTF-8";
      return;
    }
    append(text_.substr(at_, tail + 1));
    at_ += tail + 1;
  }

  std::string_view text_;
  std::string* decoded_;
  size_t at_ = 0;
  const char* error_ = nullptr;
};

}  // namespace

JsonString scan_json_string(std::string_view text, std::string* decoded) {
  return Scanner(text, decoded).scan();
}

std::string decode_json_string(std::string_view raw) {
  std::string text;
  text.reserve(raw.size());
  scan_json_string(raw, &text);
  return text;
}

}  // namespace mmreact
