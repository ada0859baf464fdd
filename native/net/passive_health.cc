#include "net/passive_health.h"

#include <algorithm>

namespace pointsman {

namespace {

// Doubling more often than this exceeds kFailingMsMax from any first time.
constexpr uint32_t kRoundsMax = 16;

}  // namespace

void PassiveHealth::succeed(uint64_t startedMs, uint64_t nowMs) noexcept {
  bucketAt(nowMs).attempts++;
  if (isFailing(nowMs)) {
    // An answer to a request of before says nothing about now.
    if (startedMs < failingSinceMs_) return;
    failingUntilMs_ = nowMs;
  }
  failuresInRow_ = 0;
  isUnreachable_ = false;
}

bool PassiveHealth::fail(bool isUnreachable, bool isKnownBad, uint64_t nowMs) noexcept {
  Bucket& bucket = bucketAt(nowMs);
  bucket.attempts++;
  bucket.failures++;
  isUnreachable_ = isUnreachable;
  if (isFailing(nowMs)) return false;
  failuresInRow_++;
  if (failuresInRow_ < kFailuresInRowMax && !isKnownBad && !isWindowBad(nowMs)) return false;
  startFailing(nowMs);
  return true;
}

void PassiveHealth::startFailing(uint64_t nowMs) noexcept {
  const auto forgiven =
      static_cast<uint32_t>(std::min<uint64_t>(rounds_, (nowMs - failingUntilMs_) / kForgiveMs));
  rounds_ -= forgiven;
  failingSinceMs_ = nowMs;
  failingUntilMs_ = nowMs + std::min(kFailingMsFirst << rounds_, kFailingMsMax);
  rounds_ = std::min(rounds_ + 1, kRoundsMax);
  // The time afterwards is a probation.
  failuresInRow_ = kFailuresInRowMax - 1;
  window_ = {};
  rampStartMs_ = 0;
}

void PassiveHealth::recover(uint64_t nowMs) noexcept {
  failingUntilMs_ = std::min(failingUntilMs_, nowMs);
  failuresInRow_ = 0;
  isUnreachable_ = false;
  window_ = {};
  startRamp(nowMs);
}

PassiveHealth::Bucket& PassiveHealth::bucketAt(uint64_t nowMs) noexcept {
  const uint64_t number = nowMs / kBucketMs;
  Bucket& bucket = window_[number % kBuckets];
  if (bucket.number != number) bucket = {.number = number};
  return bucket;
}

bool PassiveHealth::isWindowBad(uint64_t nowMs) const noexcept {
  const uint64_t newest = nowMs / kBucketMs;
  uint64_t attempts = 0;
  uint64_t failures = 0;
  for (const Bucket& bucket : window_) {
    if (bucket.number + kBuckets <= newest) continue;
    attempts += bucket.attempts;
    failures += bucket.failures;
  }
  return attempts >= kFailureWindowRequestsMin && failures * 100 >= attempts * kFailurePercentMax;
}

uint32_t PassiveHealth::rampPercent(uint64_t nowMs) noexcept {
  const uint64_t passedMs = nowMs - std::min(nowMs, rampStartMs_);
  if (passedMs >= kRampMs) {
    rampStartMs_ = 0;
    return 100;
  }
  return kRampPercentFirst + static_cast<uint32_t>((100 - kRampPercentFirst) * passedMs / kRampMs);
}

}  // namespace pointsman
