// What its answers say about the health of one address, as this worker sees it.
//
//   Sound ──kFailuresInRowMax in a row, or kFailurePercentMax of a window──► Failing until a time
//     ▲                                                                        │
//     ├── an attempt that began after that succeeds ◄──────────────────────────┤
//     └── the time is over: on probation, the next failure is enough ◄─────────┘
//
// The time begins at kFailingMsFirst, doubles with every round up to kFailingMsMax, and goes back
// one step for every kForgiveMs without one. Whether a failing address is left out of the choice
// (ejected) is its AddressSet's to decide; coming back from that, or from what a probe found, it
// ramps: its share grows from kRampPercentFirst to all of it over kRampMs.
//
// Rejected: judging by latency. What a slow answer means differs by model and by request.
// Thread: the loop's. Plain state, no I/O, no allocation.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace pointsman {

// The defaults of Envoy's outlier detection where it has one (5 in a row), shorter times.
constexpr uint32_t kFailuresInRowMax = 5;
constexpr uint64_t kFailureWindowMs = 10'000;
constexpr uint32_t kFailureWindowRequestsMin = 20;
constexpr uint32_t kFailurePercentMax = 50;
constexpr uint64_t kFailingMsFirst = 1'000;
constexpr uint64_t kFailingMsMax = 30'000;
constexpr uint64_t kForgiveMs = 30'000;
constexpr uint64_t kRampMs = 10'000;
constexpr uint32_t kRampPercentFirst = 10;

class PassiveHealth {
 public:
  // An attempt that began at `startedMs` was answered.
  void succeed(uint64_t startedMs, uint64_t nowMs) noexcept;
  // An attempt failed; `isUnreachable`: no connection came about. `isKnownBad`: another worker
  // leaves the address out now, so that one failure is enough. True when the address is Failing
  // from now on and was not before.
  bool fail(bool isUnreachable, bool isKnownBad, uint64_t nowMs) noexcept;
  // A probe found it well again.
  void recover(uint64_t nowMs) noexcept;
  void startRamp(uint64_t nowMs) noexcept { rampStartMs_ = nowMs; }

  bool isFailing(uint64_t nowMs) const noexcept { return nowMs < failingUntilMs_; }
  uint64_t failingSinceMs() const noexcept { return failingSinceMs_; }
  uint64_t failingUntilMs() const noexcept { return failingUntilMs_; }
  // No connection came about at the last attempt.
  bool isUnreachable() const noexcept { return isUnreachable_; }
  // The last attempt failed.
  bool isDoubtful() const noexcept { return failuresInRow_ > 0; }
  // Share of its traffic that it should get, kRampPercentFirst to 100: less while it ramps, and
  // after no connection came about, or an address that refuses at once, where nothing is ever under
  // way, would look like the least loaded one.
  // HOT: read for both candidates of every pick; two comparisons for an address that is well.
  uint32_t sharePercent(uint64_t nowMs) noexcept {
    if (isUnreachable_) return kRampPercentFirst;
    return rampStartMs_ == 0 ? 100 : rampPercent(nowMs);
  }

 private:
  static constexpr size_t kBuckets = 10;
  static constexpr uint64_t kBucketMs = kFailureWindowMs / kBuckets;
  struct Bucket {
    uint64_t number = 0;
    uint32_t attempts = 0;
    uint32_t failures = 0;
  };

  Bucket& bucketAt(uint64_t nowMs) noexcept;
  bool isWindowBad(uint64_t nowMs) const noexcept;
  void startFailing(uint64_t nowMs) noexcept;
  uint32_t rampPercent(uint64_t nowMs) noexcept;

  std::array<Bucket, kBuckets> window_;
  uint32_t failuresInRow_ = 0;
  // Rounds of Failing that are not forgiven yet.
  uint32_t rounds_ = 0;
  bool isUnreachable_ = false;
  uint64_t failingSinceMs_ = 0;
  uint64_t failingUntilMs_ = 0;
  // 0: does not ramp.
  uint64_t rampStartMs_ = 0;
};

}  // namespace pointsman
