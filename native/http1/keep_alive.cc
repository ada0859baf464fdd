#include "http1/keep_alive.h"

#include <algorithm>

#include "http1/field.h"

namespace pointsman {

std::optional<uint32_t> keepAliveTimeout(std::string_view fieldValue) noexcept {
  constexpr std::string_view kName = "timeout";
  while (!fieldValue.empty()) {
    const std::string_view member = takeListMember(fieldValue);
    const size_t equals = member.find('=');
    if (equals == std::string_view::npos) continue;
    if (!equalsLower(trimBlanks(member.substr(0, equals)), kName)) continue;
    const std::string_view digits = trimBlanks(member.substr(equals + 1));
    if (digits.empty()) return std::nullopt;
    uint32_t seconds = 0;
    for (const char c : digits) {
      if (c < '0' || c > '9') return std::nullopt;
      seconds = std::min(seconds * 10 + static_cast<uint32_t>(c - '0'), kKeepAliveSecondsMax);
    }
    return seconds;
  }
  return std::nullopt;
}

}  // namespace pointsman
