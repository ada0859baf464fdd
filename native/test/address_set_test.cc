// The choice among the addresses of a deployment: loads of all workers, ejection, trial, ramp.
#include "net/address_set.h"

#include <sys/mman.h>

#include <array>

#include "net/engine.h"
#include "test/check.h"
#include "test/net/epoll_loop.h"

namespace {

using namespace pointsman;
using namespace pointsman::test;

constexpr uint32_t kDraws = 20'000;

// Two workers' columns and the retired one; the engine is the first worker's.
struct World {
  World() {
    void* memory = mmap(nullptr, columnsBytes(2), PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    CHECK(memory != MAP_FAILED);
    columns = {static_cast<Column*>(memory), 3};
    engine.emplace(loop, Xoshiro256pp(3), readBuffer, control, columns[0],
                   AdmissionPeers{.columns = {limitColumn(columns[0])}}, columns);
    set = makeRef<AddressSet>(Protocol::kMlflow);
  }
  ~World() {
    set.reset();
    engine.reset();
    munmap(columns.data(), columnsBytes(2));
  }
  World(const World&) = delete;
  World& operator=(const World&) = delete;

  // Ports 1 ..; slot i for port i + 1.
  void update(size_t count) {
    inputs.resize(count);
    for (uint32_t i = 0; i < count; i++) {
      inputs[i].host = "127.0.0.1";
      inputs[i].port = static_cast<uint16_t>(i + 1);
      inputs[i].statsSlot = i;
    }
    apply();
  }
  void apply() { CHECK_EQUAL(set->update(*engine, inputs), std::string()); }

  Address& address(uint32_t index) { return *set->entry(index).address; }
  void fail(uint32_t index, Verdict verdict = Verdict::kFailure) {
    for (uint32_t i = 0; i < kFailuresInRowMax; i++) {
      set->report(address(index), verdict, loop.nowMs(), loop.nowMs());
    }
  }
  bool isEjected(uint32_t index) { return address(index).ejectedUntilMs() != 0; }

  // Parts per hundred of the draws.
  std::vector<uint32_t> shares() {
    std::vector<uint32_t> counts(inputs.size());
    for (uint32_t i = 0; i < kDraws; i++) {
      const auto picked = set->pick(engine->rng(), loop.nowMs());
      if (CHECK(picked.has_value())) counts[*picked]++;
    }
    for (uint32_t& count : counts) count = (count * 100 + kDraws / 2) / kDraws;
    return counts;
  }

  EpollLoop loop;
  std::array<char, 1> readBuffer{};
  ControlPage control{};
  std::span<Column> columns;
  std::optional<Engine> engine;
  Ref<AddressSet> set;
  std::vector<AddressInput> inputs;
};

bool isNear(uint32_t actual, uint32_t expected) {
  return CHECK(actual + 2 >= expected && actual <= expected + 2);
}

void seesLoadOfAllWorkers() {
  World world;
  world.update(2);
  const auto idle = world.shares();
  isNear(idle[0], 50);
  world.columns[1].addresses[0].inFlight = 3;
  world.columns[0].addresses[1].inFlight = 2;
  CHECK_EQUAL(world.address(0).load(), 3U);
  CHECK_EQUAL(world.shares()[1], 100U);
  world.columns[0].addresses[1].inFlight = 4;
  CHECK_EQUAL(world.shares()[0], 100U);
}

void ejectsAndComesBackSlowly() {
  World world;
  world.update(2);
  for (uint32_t i = 1; i < kFailuresInRowMax; i++) {
    world.set->report(world.address(0), Verdict::kFailure, world.loop.nowMs(), world.loop.nowMs());
  }
  world.set->report(world.address(0), Verdict::kNone, world.loop.nowMs(), world.loop.nowMs());
  isNear(world.shares()[0], 50);
  CHECK_EQUAL(world.columns[0].addresses[0].failures, kFailuresInRowMax - 1);
  world.fail(0);
  CHECK_EQUAL(world.shares()[1], 100U);
  CHECK_EQUAL(world.columns[0].addresses[0].ejections, 1U);
  CHECK_EQUAL(world.columns[0].addresses[0].ejectedUntilMs, world.loop.nowMs() + kFailingMsFirst);
  world.loop.jump(kFailingMsFirst - 1);
  CHECK_EQUAL(world.shares()[1], 100U);
  world.loop.jump(1);
  // Half of a draw of two, times the ramp: without load the first draw stands.
  isNear(world.shares()[0], kRampPercentFirst / 2);
  CHECK_EQUAL(world.columns[0].addresses[0].ejectedUntilMs, 0U);
  world.loop.jump(kRampMs / 2);
  isNear(world.shares()[0], 55 / 2);
  // An idle one that ramps is not flooded because the other is busy.
  world.columns[0].addresses[1].inFlight = 100;
  isNear(world.shares()[0], 55);
  world.loop.jump(kRampMs / 2);
  CHECK_EQUAL(world.shares()[0], 100U);
}

void ejectsAtMostHalf() {
  World world;
  world.update(5);
  for (uint32_t i = 0; i < 4; i++) world.fail(i);
  CHECK(world.isEjected(0) && world.isEjected(1));
  CHECK(!world.isEjected(2) && !world.isEjected(3) && !world.isEjected(4));
  const auto shares = world.shares();
  CHECK_EQUAL(shares[0] + shares[1], 0U);
  for (uint32_t i = 2; i < 5; i++) isNear(shares[i], 33);
  // All are failing: none is left out.
  world.fail(4);
  for (uint32_t i = 0; i < 5; i++) {
    CHECK(!world.isEjected(i));
    isNear(world.shares()[i], 20);
  }
  // One answers: it is not failing any more, so others can be left out again.
  world.set->report(world.address(3), Verdict::kSuccess, world.loop.nowMs(), world.loop.nowMs());
  CHECK(world.isEjected(0) && world.isEjected(1) && !world.isEjected(3));
  // One alone is never left out.
  world.update(1);
  world.fail(0);
  CHECK(!world.isEjected(0));
  CHECK_EQUAL(world.shares()[0], 100U);
}

void triesUnreachableOnesBeyondHalf() {
  World world;
  world.update(4);
  for (uint32_t i = 0; i < 3; i++) world.fail(i, Verdict::kUnreachable);
  const auto shares = world.shares();
  CHECK(!world.isEjected(2));
  CHECK_EQUAL(shares[0] + shares[1], 0U);
  isNear(shares[2], kTrialPercent);
  isNear(shares[3], 100 - kTrialPercent);
}

void retriesElsewhere() {
  World world;
  world.update(3);
  world.fail(0);
  const uint64_t nowMs = world.loop.nowMs();
  std::vector<Ref<Address>> tried = {world.set->entry(1).address};
  for (int i = 0; i < 4; i++) {
    CHECK_EQUAL(world.set->pickOther(world.engine->rng(), tried, nowMs).value_or(9), 2U);
  }
  CHECK_EQUAL(world.columns[0].addresses[2].retries, 4U);
  // The failing one when there is no other, as often as the budget for that allows.
  tried.push_back(world.set->entry(2).address);
  for (uint32_t i = 0; i < kLastResortsFirst; i++) {
    CHECK_EQUAL(world.set->pickOther(world.engine->rng(), tried, nowMs).value_or(9), 0U);
  }
  CHECK(!world.set->pickOther(world.engine->rng(), tried, nowMs));
  tried.push_back(world.set->entry(0).address);
  CHECK(!world.set->pickOther(world.engine->rng(), tried, nowMs));
}

void recoversByProbe() {
  World world;
  world.update(2);
  world.fail(0);
  CHECK(world.isEjected(0));
  // Down, and up again: sooner than its ejection would end.
  world.inputs[0].ready = false;
  world.apply();
  CHECK(!world.isEjected(0));
  CHECK_EQUAL(world.shares()[1], 100U);
  world.inputs[0].ready = true;
  world.inputs[0].recoveredAtMs = 77;
  world.apply();
  isNear(world.shares()[0], kRampPercentFirst / 2);
  world.loop.jump(kRampMs);
  // An older list, then the newer again: that was one recovery.
  world.inputs[0].recoveredAtMs = 0;
  world.apply();
  world.inputs[0].recoveredAtMs = 77;
  world.apply();
  isNear(world.shares()[0], 50);
  // A first start is none.
  world.update(3);
  isNear(world.shares()[2], 33);
}

void learnsFromOtherWorkers() {
  World world;
  world.update(2);
  world.columns[1].addresses[0].ejectedUntilMs = world.loop.nowMs() + 1;
  world.set->report(world.address(0), Verdict::kFailure, world.loop.nowMs(), world.loop.nowMs());
  CHECK(world.isEjected(0));
}

// What it says is gone with the address.
void forgetsRemovedAddresses() {
  World world;
  world.update(2);
  world.fail(1);
  CHECK(world.columns[0].addresses[1].ejectedUntilMs != 0);
  const Ref<Address> removed = world.set->entry(1).address;
  world.update(1);
  CHECK_EQUAL(world.columns[0].addresses[1].ejectedUntilMs, 0U);
  // A request that still runs there ends.
  world.set->report(*removed, Verdict::kSuccess, world.loop.nowMs(), world.loop.nowMs());
  CHECK_EQUAL(world.shares()[0], 100U);
}

}  // namespace

int main() {
  seesLoadOfAllWorkers();
  ejectsAndComesBackSlowly();
  ejectsAtMostHalf();
  triesUnreachableOnesBeyondHalf();
  retriesElsewhere();
  recoversByProbe();
  learnsFromOtherWorkers();
  forgetsRemovedAddresses();
  return finishChecks();
}
