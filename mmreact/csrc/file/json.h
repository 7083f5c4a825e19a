// JSON that is not trusted. Values are not copied: of each the document says
// where it is in the text, in 12 bytes.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "json_parser.h"

namespace mmreact {

// A value of a document, which must live longer.
class Json {
 public:
  enum class Type { kNull, kBool, kInteger, kReal, kString, kArray, kObject };

  class Array;
  class Object;

  Type type() const;

  // What is wanted, or an Error that says what was found instead. `what`
  // names the value in that message.
  bool boolean(const std::string& what) const;
  int64_t integer(const std::string& what, int64_t least, int64_t most) const;
  double number(const std::string& what) const;
  std::string string(const std::string& what) const;
  Array array(const std::string& what) const;
  Object object(const std::string& what) const;

  // The value of a key of an object, if there is one.
  std::optional<Json> find(std::string_view key) const;

 private:
  friend class JsonDocument;
  Json(std::string_view text, const JsonToken* token)
      : text_(text), token_(token) {}

  // As it stands in the text.
  std::string_view raw() const {
    return text_.substr(token_->begin, token_->size);
  }
  void require_type(Type type, const std::string& what,
                    const char* name) const;

  std::string_view text_;
  const JsonToken* token_;
};

// The elements of an array: for (const Json& element : array).
class Json::Array {
 public:
  class Iterator {
   public:
    explicit Iterator(Json at) : at_(at) {}
    Json operator*() const { return at_; }
    Iterator& operator++() { return at_.token_ += at_.token_->tokens, *this; }
    bool operator!=(const Iterator& other) const {
      return at_.token_ != other.at_.token_;
    }

   private:
    Json at_;
  };

  explicit Array(Json array) : array_(array) {}
  size_t size() const { return array_.token_->size; }
  Iterator begin() const { return at(1); }
  Iterator end() const { return at(array_.token_->tokens); }
  Json operator[](size_t index) const;

 private:
  Iterator at(uint32_t tokens) const {
    return Iterator({array_.text_, array_.token_ + tokens});
  }

  Json array_;
};

// The members of an object: for (const auto& [key, value] : object).
class Json::Object {
 public:
  class Iterator {
   public:
    explicit Iterator(Json key) : key_(key) {}
    std::pair<std::string, Json> operator*() const;
    Iterator& operator++();
    bool operator!=(const Iterator& other) const {
      return key_.token_ != other.key_.token_;
    }

   private:
    Json key_;
  };

  explicit Object(Json object) : object_(object) {}
  size_t size() const { return object_.token_->size; }
  Iterator begin() const { return at(1); }
  Iterator end() const { return at(object_.token_->tokens); }

 private:
  Iterator at(uint32_t tokens) const {
    return Iterator({object_.text_, object_.token_ + tokens});
  }

  Json object_;
};

class JsonDocument {
 public:
  // Throws Error unless the text, which must live longer, is exactly one
  // value in UTF-8.
  explicit JsonDocument(std::string_view text)
      : text_(text), tokens_(parse_json(text)) {}

  Json root() const { return {text_, tokens_.data()}; }

 private:
  std::string_view text_;
  std::vector<JsonToken> tokens_;
};

// Throws Error, which names the key, unless an object has exactly these keys.
void require_keys(const Json& json, const std::vector<std::string>& keys,
                  const std::string& what);

}  // namespace mmreact
