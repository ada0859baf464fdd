// One header field and the syntax of its parts (RFC 9110, section 5).
//
// Pure functions over views; nothing here owns memory or fails otherwise than by its return value.
// Shared by the parsers and the header rules.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string_view>

namespace pointsman {

// Views into a buffer of whoever made the field; the name is a token, the value has no surrounding
// white space.
struct HeaderField {
  std::string_view name;
  std::string_view value;
};

namespace detail {

constexpr std::array<bool, 256> makeTokenBytes() {
  std::array<bool, 256> table{};
  for (size_t c = '0'; c <= '9'; ++c) table[c] = true;
  for (size_t c = 'A'; c <= 'Z'; ++c) table[c] = true;
  for (size_t c = 'a'; c <= 'z'; ++c) table[c] = true;
  for (const char c :
       {'!', '#', '$', '%', '&', '\'', '*', '+', '-', '.', '^', '_', '`', '|', '~'}) {
    table[static_cast<uint8_t>(c)] = true;
  }
  return table;
}

inline constexpr std::array<bool, 256> kTokenBytes = makeTokenBytes();

}  // namespace detail

constexpr bool isTokenByte(char c) noexcept {
  return detail::kTokenBytes[static_cast<uint8_t>(c)];
}

// What a field value, reason phrase or chunk extension may hold: everything but control bytes; a
// tab is none.
constexpr bool isTextByte(char c) noexcept {
  const auto byte = static_cast<uint8_t>(c);
  return (byte >= 0x20 && byte != 0x7f) || byte == '\t';
}

constexpr bool isBlank(char c) noexcept {
  return c == ' ' || c == '\t';
}

constexpr char toLower(char c) noexcept {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c + ('a' - 'A')) : c;
}

// Compares without regard to the case of ASCII letters; `lower` is written in lower case already.
constexpr bool equalsLower(std::string_view text, std::string_view lower) noexcept {
  if (text.size() != lower.size()) return false;
  for (size_t i = 0; i < text.size(); ++i) {
    if (toLower(text[i]) != lower[i]) return false;
  }
  return true;
}

// The same for a name that is known to be a token: there setting one bit turns upper case into
// lower case and makes no other byte a letter or a hyphen, so eight bytes are compared at a time.
// HOT.
template <size_t kArraySize>
bool tokenEqualsLower(std::string_view token, const char (&lower)[kArraySize]) noexcept {
  constexpr size_t kSize = kArraySize - 1;
  constexpr size_t kWordSize = kSize >= sizeof(uint64_t) ? sizeof(uint64_t) : sizeof(uint32_t);
  static_assert(kSize >= kWordSize && kSize <= 3 * kWordSize);
  if (token.size() != kSize) return false;
  uint64_t difference = 0;
  for (size_t at = 0; at < kSize; at += kWordSize) {
    // The last word overlaps the one before it.
    const size_t from = at + kWordSize <= kSize ? at : kSize - kWordSize;
    uint64_t a = 0;
    uint64_t b = 0;
    std::memcpy(&a, token.data() + from, kWordSize);
    std::memcpy(&b, lower + from, kWordSize);
    difference |= (a | 0x2020'2020'2020'2020U) ^ (b | 0x2020'2020'2020'2020U);
  }
  return difference == 0;
}

constexpr std::string_view trimBlanks(std::string_view text) noexcept {
  while (!text.empty() && isBlank(text.front())) text.remove_prefix(1);
  while (!text.empty() && isBlank(text.back())) text.remove_suffix(1);
  return text;
}

// True for one or more token bytes: a field name, a method, a list member.
bool isToken(std::string_view text) noexcept;

// True when every byte may stand in a field value; the empty value counts. HOT: eight bytes a step.
bool isFieldValue(std::string_view text) noexcept;

// The first control byte at or behind `at`, a tab among them; `end` when there is none. HOT:
// sixteen bytes a step.
const char* findControlByte(const char* at, const char* end) noexcept;

// Takes the next member off a comma-separated list: cuts `rest` behind it and answers it trimmed,
// possibly empty. Call while `rest` is not empty. Quoted strings are not seen: for lists of tokens
// only.
std::string_view takeListMember(std::string_view& rest) noexcept;

}  // namespace pointsman
