// What a dead worker counted goes to the retired column, its gauges do not.
#include "core/shared_block.h"

#include <sys/mman.h>

#include "test/check.h"

namespace pointsman {
namespace {

Column& makeColumn() {
  void* memory = mmap(nullptr, sizeof(Column), PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  CHECK(memory != MAP_FAILED);
  return *static_cast<Column*>(memory);
}

void aDeadWorkersCountersAreKept() {
  Column& dead = makeColumn();
  Column& retired = makeColumn();
  constexpr uint32_t kLast = kEntitySlotsMax - 1;
  dead.entities[kLast].recordAnswer(200, 1'500, false);
  dead.entities[kLast].recordAnswer(503, 10, false);
  dead.entities[kLast].inFlight = 3;
  retired.entities[kLast].recordAnswer(200, 500, false);
  dead.addresses[7] = {.requests = 5,
                       .connects = 2,
                       .connectFailures = 1,
                       .retries = 3,
                       .failures = 8,
                       .ejections = 6,
                       .ejectedUntilMs = 12'345,
                       .inFlight = 4,
                       .idleConnections = 9};
  dead.header.refusals[3] = 11;
  dead.header.connectionsRefused = 13;
  dead.header.heartbeat = 42;
  dead.header.revision = 6;
  dead.header.connectionsOpen = 12;
  retireRange(dead, retired, 0, sizeof(Column));
  CHECK_EQUAL(retired.entities[kLast].answers(1), 2U);
  CHECK_EQUAL(retired.entities[kLast].answers(4), 1U);
  CHECK_EQUAL(retired.entities[kLast].latency.total(), 3U);
  CHECK_EQUAL(retired.entities[kLast].latency.sumMicroseconds, 2'010U);
  CHECK_EQUAL(retired.entities[kLast].inFlight, 0U);
  CHECK_EQUAL(retired.addresses[7].requests, 5U);
  CHECK_EQUAL(retired.addresses[7].connectFailures, 1U);
  CHECK_EQUAL(retired.addresses[7].retries, 3U);
  CHECK_EQUAL(retired.addresses[7].failures, 8U);
  CHECK_EQUAL(retired.addresses[7].ejections, 6U);
  CHECK_EQUAL(retired.addresses[7].ejectedUntilMs, 0U);
  CHECK_EQUAL(retired.addresses[7].inFlight, 0U);
  CHECK_EQUAL(retired.addresses[7].idleConnections, 0U);
  CHECK_EQUAL(retired.header.refusals[3], 11U);
  CHECK_EQUAL(retired.header.connectionsRefused, 13U);
  CHECK_EQUAL(dead.entities[kLast].latency.total(), 0U);
  CHECK_EQUAL(dead.entities[kLast].inFlight, 0U);
  CHECK_EQUAL(dead.addresses[7].requests, 0U);
  CHECK_EQUAL(dead.addresses[7].ejectedUntilMs, 0U);
  CHECK_EQUAL(dead.header.refusals[3], 0U);
  CHECK_EQUAL(dead.header.connectionsRefused, 0U);
  CHECK_EQUAL(dead.header.heartbeat.load(), 0U);
  CHECK_EQUAL(dead.header.revision.load(), 0U);
  CHECK_EQUAL(dead.header.connectionsOpen, 0U);
  // A second death adds, it does not replace.
  dead.entities[kLast].recordAnswer(200, 1, false);
  retireRange(dead, retired, 0, sizeof(Column));
  CHECK_EQUAL(retired.entities[kLast].answers(1), 3U);
  munmap(&dead, sizeof(Column));
  munmap(&retired, sizeof(Column));
}

void gaugesAloneAreZeroed() {
  Column& dead = makeColumn();
  Column& retired = makeColumn();
  // A worker that died with its first request under way has counted nothing yet.
  dead.entities[0].inFlight = 1;
  dead.addresses[0].idleConnections = 1;
  retireRange(dead, retired, 0, sizeof(Column));
  CHECK_EQUAL(dead.entities[0].inFlight, 0U);
  CHECK_EQUAL(dead.addresses[0].idleConnections, 0U);
  munmap(&dead, sizeof(Column));
  munmap(&retired, sizeof(Column));
}

// Places that a dead worker held and turns that it waited for are free; what it refused is counted.
void limitsAreTakenBack() {
  Column& dead = makeColumn();
  Column& retired = makeColumn();
  constexpr uint32_t kLast = entityLimitSlot(kEntitySlotsMax - 1);
  for (const uint32_t slot : {0U, kLast}) {
    LimitWords& words = dead.limits[slot];
    words.reserved = 3;
    words.waiting = 2;
    words.oldestUs = 17;
    words.refusedFull = 5;
    words.refusedDeadline = 1;
  }
  dead.header.waiters = 2;
  retireRange(dead, retired, 0, sizeof(Column));
  for (const uint32_t slot : {0U, kLast}) {
    CHECK_EQUAL(dead.limits[slot].reserved.load(), 0U);
    CHECK_EQUAL(dead.limits[slot].waiting.load(), 0U);
    CHECK_EQUAL(dead.limits[slot].oldestUs.load(), 0U);
    CHECK_EQUAL(dead.limits[slot].refusedFull, 0U);
    CHECK_EQUAL(retired.limits[slot].refusedFull, 5U);
    CHECK_EQUAL(retired.limits[slot].refusedDeadline, 1U);
    CHECK_EQUAL(retired.limits[slot].reserved.load(), 0U);
  }
  CHECK_EQUAL(dead.header.waiters.load(), 0U);
  // A slot that goes to somebody else counts from zero, for an entity its limit too.
  clearDeployment(retired, 0);
  clearEntity(retired, kEntitySlotsMax - 1);
  CHECK_EQUAL(retired.limits[0].refusedFull, 0U);
  CHECK_EQUAL(retired.limits[kLast].refusedFull, 0U);
  munmap(&dead, sizeof(Column));
  munmap(&retired, sizeof(Column));
}

// Page by page, as a sparse column is looked at: what lies across an edge is counted once, and what
// lies in other pages stays.
void rangesAreRetiredOnce() {
  Column& dead = makeColumn();
  Column& retired = makeColumn();
  constexpr size_t kLimitsAt = offsetof(Column, limits);
  // 40 bytes each: this one begins in front of a page's end.
  constexpr size_t kAcross = kSharedPageBytes / sizeof(LimitWords);
  constexpr size_t kPerPage = kSharedPageBytes / sizeof(EntityStats);
  dead.header.refusals[0] = 1;
  dead.entities[0].recordAnswer(200, 1, false);
  dead.entities[kPerPage].recordAnswer(200, 1, false);
  dead.addresses[0].requests = 1;
  dead.limits[kAcross].refusedFull = 1;
  retireRange(dead, retired, kSharedPageBytes, 2 * kSharedPageBytes);
  CHECK_EQUAL(retired.header.refusals[0], 0U);
  CHECK_EQUAL(retired.entities[0].latency.total(), 1U);
  CHECK_EQUAL(retired.entities[kPerPage].latency.total(), 0U);
  for (const size_t page : {0, 1}) {
    const size_t begin = kLimitsAt + page * kSharedPageBytes;
    retireRange(dead, retired, begin, begin + kSharedPageBytes);
    CHECK_EQUAL(retired.limits[kAcross].refusedFull, 1U);
  }
  CHECK_EQUAL(retired.addresses[0].requests, 0U);
  for (size_t at = 0; at < sizeof(Column); at += kSharedPageBytes) {
    retireRange(dead, retired, at, at + kSharedPageBytes);
  }
  CHECK_EQUAL(retired.header.refusals[0], 1U);
  CHECK_EQUAL(retired.entities[0].latency.total(), 1U);
  CHECK_EQUAL(retired.entities[kPerPage].latency.total(), 1U);
  CHECK_EQUAL(retired.addresses[0].requests, 1U);
  CHECK_EQUAL(retired.limits[kAcross].refusedFull, 1U);
  munmap(&dead, sizeof(Column));
  munmap(&retired, sizeof(Column));
}

}  // namespace
}  // namespace pointsman

int main() {
  pointsman::aDeadWorkersCountersAreKept();
  pointsman::gaugesAloneAreZeroed();
  pointsman::limitsAreTakenBack();
  pointsman::rangesAreRetiredOnce();
  return pointsman::test::finishChecks();
}
