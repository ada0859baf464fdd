// How long a replica keeps an idle connection, by its own words.
//
// `Keep-Alive: timeout=N, max=M` is no field of RFC 9112, but what most servers say (Apache httpd,
// Node, Tomcat). `max` is not read: a server that has had enough answers with `Connection: close`.
// Pure functions over views.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace pointsman {

// Longer ones count as this.
inline constexpr uint32_t kKeepAliveSecondsMax = 1'000'000;

// N of the first `timeout=N`; nothing when there is none or it is no number.
std::optional<uint32_t> keepAliveTimeout(std::string_view fieldValue) noexcept;

// For how long we keep a connection that the replica keeps for `seconds` and we would for `idleMs`.
// We must be the first to close it: a request that is on its way as the replica closes may be lost.
// So a second less, for what is under way, or half when the replica keeps it for less than two; 0:
// not at all.
constexpr uint64_t idleBelow(std::optional<uint32_t> seconds, uint64_t idleMs) noexcept {
  if (!seconds) return idleMs;
  const uint64_t keptMs = uint64_t{*seconds} * 1'000;
  const uint64_t belowMs = keptMs < 2'000 ? keptMs / 2 : keptMs - 1'000;
  return belowMs < idleMs ? belowMs : idleMs;
}

}  // namespace pointsman
