// Bounds the attempts beyond the first, so that retries cannot multiply the load of replicas that
// are down.
//
// Two accounts, filled by requests and emptied by retries. Every retry takes from the first. One
// that goes to an address known to fail, for want of a better one, takes from the second as well:
// while everything is down that is all retries but the few that find it out, so attempts stay below
// 1.2 times the requests. Both begin with something, or the first requests of a quiet deployment
// could not be saved.
//
// Not taken from here: the one replay on a fresh connection when a reused one closed. Each uses up
// a connection that was kept, so there cannot be more of them than there were good answers.
// Thread: the loop's. One per deployment and worker.
#pragma once

#include <algorithm>
#include <cstdint>

namespace pointsman {

// Retries per 100 requests in the long run, and those in hand at first and at most.
constexpr uint32_t kRetryPercent = 20;
constexpr uint32_t kRetriesFirst = 10;
constexpr uint32_t kRetriesMax = 100;
// The same for retries to an address that is known to fail.
constexpr uint32_t kLastResortPercent = 10;
constexpr uint32_t kLastResortsFirst = 3;
constexpr uint32_t kLastResortsMax = 5;

class RetryBudget {
 public:
  void onRequest() noexcept {
    retries_ = std::min(retries_ + kRetryPercent, kRetriesMax * kUnit);
    lastResorts_ = std::min(lastResorts_ + kLastResortPercent, kLastResortsMax * kUnit);
  }

  // False: no retry.
  bool tryTake(bool isLastResort) noexcept {
    if (retries_ < kUnit || (isLastResort && lastResorts_ < kUnit)) return false;
    retries_ -= kUnit;
    if (isLastResort) lastResorts_ -= kUnit;
    return true;
  }

 private:
  static constexpr uint32_t kUnit = 100;
  uint32_t retries_ = kRetriesFirst * kUnit;
  uint32_t lastResorts_ = kLastResortsFirst * kUnit;
};

}  // namespace pointsman
