// The scans over whole names and values that are too long to inline.
#include "http1/field.h"

#include <cstring>

namespace pointsman {

namespace {

constexpr uint64_t kOnes = 0x0101010101010101U;
constexpr uint64_t kHighBits = 0x8080808080808080U;

// Non-zero when one of the eight bytes is below 0x20 or is 0x7f. Exact for the word, not for which
// byte.
constexpr uint64_t findControlByte(uint64_t word) noexcept {
  const uint64_t below = (word - kOnes * 0x20) & ~word;
  const uint64_t flipped = word ^ (kOnes * 0x7f);
  const uint64_t isDelete = (flipped - kOnes) & ~flipped;
  return (below | isDelete) & kHighBits;
}

bool areTextBytes(const char* text, size_t size) noexcept {
  for (size_t i = 0; i < size; ++i) {
    if (!isTextByte(text[i])) return false;
  }
  return true;
}

}  // namespace

bool isToken(std::string_view text) noexcept {
  for (const char c : text) {
    if (!isTokenByte(c)) return false;
  }
  return !text.empty();
}

bool isFieldValue(std::string_view text) noexcept {
  const char* at = text.data();
  size_t left = text.size();
  for (; left >= sizeof(uint64_t); at += sizeof(uint64_t), left -= sizeof(uint64_t)) {
    uint64_t word = 0;
    std::memcpy(&word, at, sizeof word);
    // A tab sets the alarm too; only then are the eight bytes looked at one by one.
    if (findControlByte(word) != 0 && !areTextBytes(at, sizeof word)) return false;
  }
  return areTextBytes(at, left);
}

std::string_view takeListMember(std::string_view& rest) noexcept {
  const size_t comma = rest.find(',');
  const std::string_view member = rest.substr(0, comma);
  rest.remove_prefix(comma == std::string_view::npos ? rest.size() : comma + 1);
  return trimBlanks(member);
}

}  // namespace pointsman
