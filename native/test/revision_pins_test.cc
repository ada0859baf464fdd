// Which revisions are in flight: the rule by which counters' slots are given to others.
#include "net/revision_pins.h"

#include <cerrno>

#include "net/sharded_map.h"
#include "test/check.h"
#include "test/failing_new.h"

namespace pointsman {
namespace {

struct Named final : public RefCounted<Named> {
  explicit Named(int given) : value(given) {}
  int value;
};

void oldestFollowsTheRequests() {
  RevisionPins pins;
  CHECK_EQUAL(pins.oldest(9), 9U);
  CHECK(pins.pin(1));
  CHECK(pins.pin(1));
  CHECK(pins.pin(3));
  CHECK(pins.pin(4));
  CHECK_EQUAL(pins.oldest(9), 1U);
  CHECK_EQUAL(pins.heldBeside(4), 2U);
  // Out of order: a young one ends before its elders.
  pins.unpin(3);
  CHECK_EQUAL(pins.oldest(9), 1U);
  pins.unpin(1);
  CHECK_EQUAL(pins.oldest(9), 1U);
  pins.unpin(1);
  CHECK_EQUAL(pins.oldest(9), 4U);
  pins.unpin(4);
  CHECK_EQUAL(pins.oldest(9), 9U);
  CHECK_EQUAL(pins.heldBeside(4), 0U);
  // The pin that was kept is used again for another revision.
  CHECK(pins.pin(12));
  CHECK_EQUAL(pins.oldest(12), 12U);
}

void pinsWhatItCan() {
  RevisionPins pins;
  for (uint64_t revision = 1; revision <= 8; revision++) CHECK(pins.pin(revision));
  test::setFault("allocation", 1, ENOMEM);
  CHECK(pins.pin(8));
  CHECK(!pins.pin(9));
  test::clearFaults();
  CHECK_EQUAL(pins.heldBeside(9), 8U);
  CHECK(pins.pin(9));
  for (uint64_t revision = 1; revision <= 9; revision++) pins.unpin(revision);
  CHECK_EQUAL(pins.oldest(100), 8U);
  pins.unpin(8);
  CHECK_EQUAL(pins.oldest(100), 100U);
}

void manyRevisionsLeaveNothing() {
  RevisionPins pins;
  for (uint64_t revision = 1; revision <= 100'000; revision++) {
    CHECK(pins.pin(revision));
    if (revision > 3) pins.unpin(revision - 3);
    CHECK(pins.heldBeside(0) <= 3);
  }
}

void aChangeOfOneCopyLeavesTheOther() {
  ShardedMap<Named> first;
  for (int i = 0; i < 10'000; i++) first.set("endpoint-" + std::to_string(i), makeRef<Named>(i));
  ShardedMap<Named> second = first;
  second.set("endpoint-7", makeRef<Named>(-7));
  second.remove("endpoint-8");
  second.remove("absent");
  second.set("fresh", makeRef<Named>(1));
  CHECK_EQUAL(first.find("endpoint-7")->value, 7);
  CHECK_EQUAL(first.find("endpoint-8")->value, 8);
  CHECK(first.find("fresh") == nullptr);
  CHECK_EQUAL(second.find("endpoint-7")->value, -7);
  CHECK(second.find("endpoint-8") == nullptr);
  CHECK_EQUAL(second.find("fresh")->value, 1);
  // What did not change is one object.
  CHECK(first.find("endpoint-9") == second.find("endpoint-9"));
}

}  // namespace
}  // namespace pointsman

int main() {
  pointsman::oldestFollowsTheRequests();
  pointsman::pinsWhatItCan();
  pointsman::manyRevisionsLeaveNothing();
  pointsman::aChangeOfOneCopyLeavesTheOther();
  return pointsman::test::finishChecks();
}
