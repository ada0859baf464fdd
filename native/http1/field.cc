// The scans over whole names and values that are too long to inline.
#include "http1/field.h"

#include <cstring>

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

namespace pointsman {

namespace {

constexpr uint64_t kOnes = 0x0101010101010101U;
constexpr uint64_t kHighBits = 0x8080808080808080U;

// Non-zero when one of the eight bytes is below 0x20 or is 0x7f. Exact for the word, not for which
// byte.
constexpr uint64_t markControlBytes(uint64_t word) noexcept {
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
    if (markControlBytes(word) != 0 && !areTextBytes(at, sizeof word)) return false;
  }
  return areTextBytes(at, left);
}

const char* findControlByte(const char* at, const char* end) noexcept {
#if defined(__SSE2__)
  const __m128i lastControl = _mm_set1_epi8(0x1f);
  const __m128i del = _mm_set1_epi8(0x7f);
  for (; end - at >= 16; at += 16) {
    __m128i bytes;
    std::memcpy(&bytes, at, sizeof bytes);
    const __m128i isControl = _mm_or_si128(_mm_cmpeq_epi8(_mm_min_epu8(bytes, lastControl), bytes),
                                           _mm_cmpeq_epi8(bytes, del));
    const auto mask = static_cast<uint32_t>(_mm_movemask_epi8(isControl));
    if (mask != 0) return at + __builtin_ctz(mask);
  }
#endif
  for (; end - at >= static_cast<ptrdiff_t>(sizeof(uint64_t)); at += sizeof(uint64_t)) {
    uint64_t word = 0;
    std::memcpy(&word, at, sizeof word);
    if (markControlBytes(word) != 0) break;
  }
  while (at != end && isTextByte(*at) && *at != '\t') ++at;
  return at;
}

std::string_view takeListMember(std::string_view& rest) noexcept {
  const size_t comma = rest.find(',');
  const std::string_view member = rest.substr(0, comma);
  rest.remove_prefix(comma == std::string_view::npos ? rest.size() : comma + 1);
  return trimBlanks(member);
}

}  // namespace pointsman
