// What one worker counts for one served entity.
//
// Trivial and of fixed layout: an all-zero block is a fresh one, and a column of these will lie in
// memory shared with the supervisor (one writer, the worker's loop thread).
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <type_traits>

#include "core/latency_histogram.h"

namespace pointsman {

struct EntityStats {
  // Answers by class, [0] is 1xx, [4] is 5xx: those that JS relayed, and at the end those of the
  // native door. Apart, because each is a counter of its own: a difference of two words may fall.
  std::array<uint64_t, 5> jsClasses;
  // From dispatch to the last byte of the answer.
  LatencyHistogram latency;
  // Requests dispatched and not yet finished.
  uint32_t inFlight;
  uint32_t reserved;
  std::array<uint64_t, 5> nativeClasses;
  std::array<uint64_t, 3> padding;

  // A status outside 100 .. 599 counts as 5xx: that is how a recipient reads it
  // (RFC 9110, section 15).
  void recordAnswer(uint32_t status, uint64_t microseconds, bool isNative) noexcept {
    const bool isValid = status >= 100 && status <= 599;
    const size_t index = isValid ? status / 100 - 1 : 4;
    ++(isNative ? nativeClasses : jsClasses)[index];
    latency.record(microseconds);
  }

  uint64_t answers(size_t statusClass) const noexcept {
    return jsClasses[statusClass] + nativeClasses[statusClass];
  }
};

static_assert(std::is_standard_layout_v<EntityStats> && std::is_trivial_v<EntityStats>);
static_assert(offsetof(EntityStats, latency) == 40 && offsetof(EntityStats, inFlight) == 184);
static_assert(sizeof(EntityStats) == 256, "four cache lines");

}  // namespace pointsman
