// The verdicts on one address over time.
#include "net/passive_health.h"

#include "net/verdict.h"

#include "net/exchange.h"
#include "net/retry_budget.h"
#include "test/check.h"

namespace {

using namespace pointsman;

constexpr uint64_t kStart = 5'000'000;

bool fail(PassiveHealth& health, uint64_t nowMs) {
  return health.fail(false, false, nowMs);
}

// Fails it out from whatever it was.
void failOut(PassiveHealth& health, uint64_t nowMs) {
  for (uint32_t i = 0; i < kFailuresInRowMax && !fail(health, nowMs); i++) {
  }
  CHECK(health.isFailing(nowMs));
}

void failsAfterFailuresInARow() {
  PassiveHealth health;
  for (uint32_t i = 1; i < kFailuresInRowMax; i++) CHECK(!fail(health, kStart));
  CHECK(!health.isFailing(kStart));
  // One success and the row begins anew.
  health.succeed(kStart, kStart);
  for (uint32_t i = 1; i < kFailuresInRowMax; i++) CHECK(!fail(health, kStart));
  CHECK(fail(health, kStart));
  CHECK(health.isFailing(kStart + kFailingMsFirst - 1));
  CHECK(!health.isFailing(kStart + kFailingMsFirst));
  // More failures while it lasts change nothing.
  CHECK(!fail(health, kStart + 1));
  CHECK_EQUAL(health.failingUntilMs(), kStart + kFailingMsFirst);
}

void failsByRate() {
  // Never two failures in a row.
  PassiveHealth health;
  uint32_t failures = 0;
  bool isFailing = false;
  for (uint32_t i = 0; i < kFailureWindowRequestsMin * 2 && !isFailing; i++) {
    if (i % 2 == 0) {
      health.succeed(kStart, kStart + i);
    } else {
      failures++;
      isFailing = fail(health, kStart + i);
    }
  }
  CHECK(isFailing);
  CHECK_EQUAL(failures, kFailureWindowRequestsMin / 2);
  // The same failures spread over more time than the window are too few.
  PassiveHealth slow;
  for (uint32_t i = 0; i < 100; i++) {
    slow.succeed(kStart, kStart + i * 2'200);
    CHECK(!fail(slow, kStart + i * 2'200));
  }
  // A rate below the bound never is too much.
  PassiveHealth good;
  for (uint32_t i = 0; i < 1'000; i++) {
    if (i % 3 == 2) {
      CHECK(!fail(good, kStart + i));
    } else {
      good.succeed(kStart, kStart + i);
    }
  }
}

void growsAndForgives() {
  PassiveHealth health;
  uint64_t nowMs = kStart;
  failOut(health, nowMs);
  uint64_t lastMs = health.failingUntilMs() - nowMs;
  CHECK_EQUAL(lastMs, kFailingMsFirst);
  for (int round = 0; round < 100; round++) {
    nowMs = health.failingUntilMs();
    CHECK(!health.isFailing(nowMs));
    // On probation: one is enough.
    CHECK(fail(health, nowMs));
    const uint64_t ms = health.failingUntilMs() - nowMs;
    CHECK_EQUAL(ms, std::min(lastMs * 2, kFailingMsMax));
    lastMs = ms;
  }
  // A long quiet time, and it is as before.
  nowMs = health.failingUntilMs();
  health.succeed(nowMs, nowMs);
  nowMs += kForgiveMs * 100;
  failOut(health, nowMs);
  CHECK_EQUAL(health.failingUntilMs() - nowMs, kFailingMsFirst);
  // One step back for one quiet time.
  nowMs = health.failingUntilMs();
  CHECK(fail(health, nowMs));
  CHECK_EQUAL(health.failingUntilMs() - nowMs, kFailingMsFirst * 2);
  nowMs = health.failingUntilMs() + kForgiveMs;
  CHECK(fail(health, nowMs));
  CHECK_EQUAL(health.failingUntilMs() - nowMs, kFailingMsFirst * 2);
}

void endsBySuccessOfALaterAttempt() {
  PassiveHealth health;
  failOut(health, kStart);
  health.succeed(kStart - 1, kStart + 10);
  CHECK(health.isFailing(kStart + 10));
  health.succeed(kStart + 5, kStart + 20);
  CHECK(!health.isFailing(kStart + 20));
  for (uint32_t i = 1; i < kFailuresInRowMax; i++) CHECK(!fail(health, kStart + 21));
}

void learnsFromOtherWorkers() {
  PassiveHealth health;
  CHECK(health.fail(true, true, kStart));
  CHECK(health.isUnreachable());
}

// Until a connection comes about again it gets little, or it would draw all requests.
void givesUnreachableOnesLess() {
  PassiveHealth health;
  fail(health, kStart);
  CHECK(health.isDoubtful());
  CHECK_EQUAL(health.sharePercent(kStart), 100U);
  health.fail(true, false, kStart);
  CHECK_EQUAL(health.sharePercent(kStart + kRampMs), kRampPercentFirst);
  health.succeed(kStart, kStart);
  CHECK(!health.isDoubtful());
  CHECK_EQUAL(health.sharePercent(kStart), 100U);
}

void ramps() {
  PassiveHealth health;
  CHECK_EQUAL(health.sharePercent(kStart), 100U);
  failOut(health, kStart);
  health.recover(kStart + 10);
  CHECK(!health.isFailing(kStart + 10));
  CHECK_EQUAL(health.sharePercent(kStart + 10), kRampPercentFirst);
  CHECK_EQUAL(health.sharePercent(kStart + 10 + kRampMs / 2), 55U);
  CHECK_EQUAL(health.sharePercent(kStart + 9 + kRampMs), 99U);
  CHECK_EQUAL(health.sharePercent(kStart + 10 + kRampMs), 100U);
  // A clock read earlier than the start is no time passed.
  health.startRamp(kStart);
  CHECK_EQUAL(health.sharePercent(kStart - 1), kRampPercentFirst);
}

void judgesAnswers() {
  for (const int status : {200, 204, 301, 400, 404, 429, 499, 501, 505}) {
    CHECK(verdictOf(status, false) == Verdict::kSuccess);
  }
  for (const int status : {500, 502, 503, 504, 507, 599}) {
    CHECK(verdictOf(status, false) == Verdict::kFailure);
  }
  CHECK(verdictOf(503, true) == Verdict::kSuccess);
  CHECK(verdictOf(500, true) == Verdict::kFailure);
  CHECK(verdictOf(Failure::kConnectFailed, true) == Verdict::kUnreachable);
  CHECK(verdictOf(Failure::kConnectTimeout, false) == Verdict::kUnreachable);
  CHECK(verdictOf(Failure::kTruncated, false) == Verdict::kFailure);
  CHECK(verdictOf(Failure::kResponseHeaderTimeout, false) == Verdict::kFailure);
  CHECK(verdictOf(Failure::kResponseHeaderTimeout, true) == Verdict::kNone);
  CHECK(verdictOf(Failure::kConnectionLimit, false) == Verdict::kNone);
  CHECK(verdictOf(Failure::kBadRequest, false) == Verdict::kNone);
}

void boundsRetries() {
  RetryBudget budget;
  uint32_t taken = 0;
  while (budget.tryTake(false)) taken++;
  CHECK_EQUAL(taken, kRetriesFirst);
  for (int i = 0; i < 1'000; i++) {
    budget.onRequest();
    taken += budget.tryTake(false) ? 1 : 0;
  }
  CHECK_EQUAL(taken, kRetriesFirst + 1'000 * kRetryPercent / 100);
  for (int i = 0; i < 100'000; i++) budget.onRequest();
  uint32_t lastResorts = 0;
  while (budget.tryTake(true)) lastResorts++;
  CHECK_EQUAL(lastResorts, kLastResortsMax);
  uint32_t others = 0;
  while (budget.tryTake(false)) others++;
  CHECK_EQUAL(others, kRetriesMax - kLastResortsMax);
}

}  // namespace

int main() {
  failsAfterFailuresInARow();
  failsByRate();
  growsAndForgives();
  endsBySuccessOfALaterAttempt();
  learnsFromOtherWorkers();
  givesUnreachableOnesLess();
  ramps();
  judgesAnswers();
  boundsRetries();
  return test::finishChecks();
}
