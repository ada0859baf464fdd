#include "http1/authority.h"

#include <array>
#include <cstddef>
#include <cstdint>

#include "http1/field.h"

namespace pointsman {

namespace {

constexpr uint32_t kPortMax = 65'535;
constexpr size_t kIpv6Groups = 8;

constexpr std::array<bool, 256> makeNameBytes() {
  std::array<bool, 256> table{};
  for (size_t c = '0'; c <= '9'; ++c) table[c] = true;
  for (size_t c = 'A'; c <= 'Z'; ++c) table[c] = true;
  for (size_t c = 'a'; c <= 'z'; ++c) table[c] = true;
  for (const char c : {'-', '_', '~', '!', '$', '&', '\'', '(', ')', '*', '+', ';', '='}) {
    table[static_cast<uint8_t>(c)] = true;
  }
  return table;
}

// Of a registered name, but for '.' and '%', which need a look at their neighbours.
constexpr std::array<bool, 256> kNameBytes = makeNameBytes();

constexpr bool isDigit(char c) noexcept {
  return c >= '0' && c <= '9';
}

constexpr bool isHexDigit(char c) noexcept {
  const char lower = toLower(c);
  return isDigit(c) || (lower >= 'a' && lower <= 'f');
}

bool isPort(std::string_view text) noexcept {
  uint32_t port = 0;
  for (const char c : text) {
    if (!isDigit(c)) return false;
    port = port * 10 + static_cast<uint32_t>(c - '0');
    if (port > kPortMax) return false;
  }
  return true;
}

bool isName(std::string_view text) noexcept {
  bool isLabelEmpty = true;
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (kNameBytes[static_cast<uint8_t>(c)]) {
      isLabelEmpty = false;
    } else if (c == '.') {
      if (isLabelEmpty) return false;
      isLabelEmpty = true;
    } else {
      if (c != '%' || text.size() - i < 3) return false;
      if (!isHexDigit(text[i + 1]) || !isHexDigit(text[i + 2])) return false;
      i += 2;
      isLabelEmpty = false;
    }
  }
  return !text.empty();
}

// Four decimal numbers to 255 without leading zeros.
bool isIpv4(std::string_view text) noexcept {
  size_t count = 0;
  for (;;) {
    const size_t dot = text.find('.');
    const std::string_view part = text.substr(0, dot);
    if (part.empty() || part.size() > 3 || (part.size() > 1 && part[0] == '0')) return false;
    uint32_t value = 0;
    for (const char c : part) {
      if (!isDigit(c)) return false;
      value = value * 10 + static_cast<uint32_t>(c - '0');
    }
    if (value > 255) return false;
    ++count;
    if (dot == std::string_view::npos) return count == 4;
    text.remove_prefix(dot + 1);
  }
}

// Number of 16-bit groups of "a:b:c", 0 for the empty text, more than kIpv6Groups when malformed.
// An IPv4 address may stand at the end where `mayEndInIpv4`; it counts as two.
size_t countGroups(std::string_view text, bool mayEndInIpv4) noexcept {
  constexpr size_t kMalformed = kIpv6Groups + 1;
  size_t count = 0;
  while (!text.empty()) {
    const size_t colon = text.find(':');
    const std::string_view group = text.substr(0, colon);
    const bool isLast = colon == std::string_view::npos;
    if (isLast && mayEndInIpv4 && isIpv4(group)) return count + 2;
    if (group.empty() || group.size() > 4) return kMalformed;
    for (const char c : group) {
      if (!isHexDigit(c)) return kMalformed;
    }
    if (++count > kIpv6Groups) return kMalformed;
    if (isLast) return count;
    text.remove_prefix(colon + 1);
    if (text.empty()) return kMalformed;
  }
  return count;
}

}  // namespace

bool isIpv6(std::string_view text) noexcept {
  const size_t gap = text.find("::");
  if (gap == std::string_view::npos) return countGroups(text, true) == kIpv6Groups;
  const size_t before = countGroups(text.substr(0, gap), false);
  const size_t after = countGroups(text.substr(gap + 2), true);
  return before + after < kIpv6Groups;
}

bool isAuthority(std::string_view text) noexcept {
  if (text.empty()) return false;
  size_t hostEnd = 0;
  if (text.front() == '[') {
    const size_t bracket = text.find(']');
    if (bracket == std::string_view::npos) return false;
    if (!isIpv6(text.substr(1, bracket - 1))) return false;
    hostEnd = bracket + 1;
  } else {
    hostEnd = text.find(':');
    if (hostEnd == std::string_view::npos) return isName(text);
    if (!isName(text.substr(0, hostEnd))) return false;
  }
  const std::string_view rest = text.substr(hostEnd);
  return rest.empty() || (rest.front() == ':' && isPort(rest.substr(1)));
}

}  // namespace pointsman
