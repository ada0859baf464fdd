// Latencies of one served entity in fixed buckets.
//
// A plain block of 64-bit words, so that it can lie in memory shared with the supervisor: one
// writer (the worker's loop thread), readers anywhere. The bounds equal LATENCY_BUCKETS_MS of
// src/core/limits.ts.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <type_traits>

namespace pointsman {

inline constexpr std::array<uint32_t, 16> kLatencyBucketsMs = {
    1, 2, 5, 10, 25, 50, 100, 250, 500, 1'000, 2'500, 5'000, 10'000, 30'000, 60'000, 300'000};

struct LatencyHistogram {
  // counts[i] holds the latencies above bound i - 1 and up to bound i inclusive; the last bucket
  // holds the rest. Not cumulative.
  std::array<uint64_t, kLatencyBucketsMs.size() + 1> counts;
  uint64_t sumMicroseconds;

  // HOT: most answers come within the first few bounds, so a scan beats a binary search.
  void record(uint64_t microseconds) noexcept {
    size_t bucket = 0;
    while (bucket < kLatencyBucketsMs.size() &&
           microseconds > uint64_t{kLatencyBucketsMs[bucket]} * 1'000) {
      ++bucket;
    }
    ++counts[bucket];
    sumMicroseconds += microseconds;
  }

  uint64_t total() const noexcept {
    uint64_t sum = 0;
    for (const uint64_t count : counts) sum += count;
    return sum;
  }
};

static_assert(std::is_standard_layout_v<LatencyHistogram> && std::is_trivial_v<LatencyHistogram>);
static_assert(sizeof(LatencyHistogram) == 18 * sizeof(uint64_t));

}  // namespace pointsman
