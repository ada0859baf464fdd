// Admission over several workers on one loop, where every order of events can be had on purpose.
#include "net/admission.h"

#include <deque>
#include <string>

#include "test/check.h"
#include "test/counting_new.h"
#include "test/net/faults.h"
#include "test/net/limit_workers.h"

namespace {

using namespace pointsman;
using namespace pointsman::test;
using Outcome = Admission::Outcome;

constexpr uint32_t kDeployment = 1;
constexpr uint32_t kEntity = 5;
constexpr uint32_t kOther = 6;

struct Workers {
  explicit Workers(uint32_t count) : memory(count), wheel(loop) {
    for (uint32_t worker = 0; worker < count; worker++) {
      admissions.push_back(std::make_unique<Admission>(loop, wheel, memory.peersOf(worker)));
    }
  }
  ~Workers() {
    for (auto& one : requests) {
      if (admissions[one.worker] != nullptr) admissions[one.worker]->end(one.request);
    }
    requests.clear();
  }
  Workers(const Workers&) = delete;
  Workers& operator=(const Workers&) = delete;

  struct Made {
    uint32_t worker = 0;
    Outcome outcome = Outcome::kAdmitted;
    LimitRequest request{};
  };

  // One request of the worker, under a limit of the deployment and one of the entity; 0: it is for
  // another entity, which has none.
  Made& ask(uint32_t worker, uint32_t limit, uint32_t queueMax = 0, uint32_t entityLimit = 0) {
    Admission& admission = *admissions[worker];
    Made& made = requests.emplace_back();
    made.worker = worker;
    made.request.onGo = [this, &made] { order.push_back(&made); };
    made.outcome = admission.request(
        made.request,
        {.gate = admission.gate(entityLimit == 0 ? kOther : kEntity), .maxInFlight = entityLimit},
        {.gate = admission.gate(kDeployment), .maxInFlight = limit}, queueMax);
    if (made.outcome == Outcome::kAdmitted) made.request.setAdmitted();
    return made;
  }
  void end(Made& made) { admissions[made.worker]->end(made.request); }

  LimitMemory memory;
  EpollLoop loop;
  TimerWheel wheel;
  std::vector<std::unique_ptr<Admission>> admissions;
  std::deque<Made> requests;
  // As they were admitted from the queue.
  std::vector<Made*> order;
};

void admitsUpToTheLimitOverAllWorkers() {
  Workers workers(3);
  Workers::Made& first = workers.ask(0, 4);
  for (uint32_t i = 1; i < 4; i++) CHECK(workers.ask(i % 3, 4).outcome == Outcome::kAdmitted);
  for (uint32_t worker = 0; worker < 3; worker++) {
    Workers::Made& refused = workers.ask(worker, 4);
    CHECK(refused.outcome == Outcome::kNoPlace);
    CHECK(!refused.request.isStoppedByEntity());
    // A refusal holds nothing, however often it is ended.
    workers.end(refused);
    workers.end(refused);
  }
  CHECK_EQUAL(workers.memory.reserved(kDeployment), 4U);
  CHECK_EQUAL(workers.memory.reserved(kOther), 4U);
  CHECK_EQUAL(workers.memory.refusedFull(kDeployment), 3U);
  workers.end(first);
  workers.end(first);
  CHECK_EQUAL(workers.memory.reserved(kDeployment), 3U);
  CHECK(workers.ask(2, 4).outcome == Outcome::kAdmitted);
  CHECK(workers.ask(1, 4).outcome == Outcome::kNoPlace);
}

void boundsTheQueueOverAllWorkers() {
  Workers workers(4);
  Workers::Made& holder = workers.ask(0, 1, 3);
  for (uint32_t worker = 0; worker < 3; worker++) {
    CHECK(workers.ask(worker, 1, 3).outcome == Outcome::kQueued);
  }
  CHECK_EQUAL(workers.memory.waiting(kDeployment), 3U);
  CHECK(workers.ask(3, 1, 3).outcome == Outcome::kQueueFull);
  CHECK(workers.ask(0, 1, 3).outcome == Outcome::kQueueFull);
  workers.end(workers.requests[2]);
  CHECK(workers.ask(3, 1, 3).outcome == Outcome::kQueued);
  workers.end(holder);
  workers.loop.settle();
  CHECK_EQUAL(workers.memory.waiting(kDeployment), 2U);
  CHECK_EQUAL(workers.memory.reserved(kDeployment), 1U);
}

// Whoever asked first goes first, whatever worker it is in, and nobody overtakes those that wait.
void servesInOrderOfArrival() {
  Workers workers(3);
  std::deque<Workers::Made*> running = {&workers.ask(0, 2, 100), &workers.ask(0, 2, 100)};
  std::vector<Workers::Made*> asked;
  for (const uint32_t worker : {0, 1, 2, 2, 2, 1, 0, 0, 1, 2, 1, 1, 0}) {
    // Ages differ by at least a microsecond.
    usleep(2);
    asked.push_back(&workers.ask(worker, 2, 100));
    CHECK(asked.back()->outcome == Outcome::kQueued);
  }
  for (size_t next = 0; next < asked.size(); next++) {
    workers.end(*running.front());
    running.pop_front();
    // Between the end and the next turn of the loop a place is free, but not for a newcomer.
    CHECK(workers.ask(static_cast<uint32_t>(next % 3), 2, 0).outcome == Outcome::kNoPlace);
    workers.loop.settle();
    if (!CHECK_EQUAL(workers.order.size(), next + 1)) return;
    CHECK(workers.order[next] == asked[next]);
    running.push_back(asked[next]);
  }
}

void leavesTheQueue() {
  Workers workers(2);
  Workers::Made& holder = workers.ask(0, 1, 10);
  Workers::Made& gone = workers.ask(1, 1, 10);
  usleep(2);
  Workers::Made& stays = workers.ask(0, 1, 10);
  // The head leaves in the very turn in which it was woken: the wake-up goes on to the next.
  workers.end(holder);
  workers.end(gone);
  workers.loop.settle();
  CHECK(stays.request.isAdmitted());
  CHECK(!gone.request.isAdmitted());
  workers.end(stays);
  CHECK(workers.memory.isQuiet());
}

// Both limits hold; a request that waits for the deployment keeps its place at the entity.
void holdsBothLimits() {
  Workers workers(2);
  Workers::Made& a = workers.ask(0, 3, 10, 2);
  Workers::Made& b = workers.ask(1, 3, 10, 2);
  Workers::Made& c = workers.ask(1, 3, 10, 2);
  CHECK(c.outcome == Outcome::kQueued && c.request.isStoppedByEntity());
  Workers::Made& d = workers.ask(0, 3, 10);
  CHECK(d.outcome == Outcome::kAdmitted);
  Workers::Made& e = workers.ask(0, 3, 10);
  CHECK(e.outcome == Outcome::kQueued && !e.request.isStoppedByEntity());
  Workers::Made& f = workers.ask(1, 3, 10, 2);
  CHECK(f.outcome == Outcome::kQueued && f.request.isStoppedByEntity());
  // `d` frees a place of the deployment: `c` is older than `e`, but the entity has none for it.
  workers.end(d);
  workers.loop.settle();
  CHECK(e.request.isAdmitted() && !c.request.isAdmitted());
  // `a` frees one of each.
  workers.end(a);
  workers.loop.settle();
  CHECK(c.request.isAdmitted() && !f.request.isAdmitted());
  for (Workers::Made* one : {&b, &c, &e}) workers.end(*one);
  workers.loop.settle();
  CHECK(f.request.isAdmitted());
  workers.end(f);
  CHECK(workers.memory.isQuiet());
}

// From the entity's queue into the deployment's, at the place that its age gives it.
void movesFromGateToGate() {
  Workers workers(2);
  Workers::Made& a = workers.ask(0, 1, 10, 1);
  Workers::Made& older = workers.ask(0, 1, 10, 1);
  CHECK(older.request.isStoppedByEntity());
  usleep(2);
  Workers::Made& younger = workers.ask(0, 1, 10);
  CHECK(!younger.request.isStoppedByEntity());
  CHECK_EQUAL(workers.memory.waiting(kDeployment), 2U);
  workers.end(younger);
  usleep(2);
  Workers::Made& last = workers.ask(1, 1, 10);
  workers.end(a);
  workers.loop.settle();
  CHECK(older.request.isAdmitted() && !last.request.isAdmitted());
  workers.end(older);
  workers.loop.settle();
  CHECK(last.request.isAdmitted());
  workers.end(last);
  CHECK(workers.memory.isQuiet());
}

// A limit is that of the request's revision; the count goes on.
void limitsChange() {
  Workers workers(2);
  Workers::Made& unlimited = workers.ask(0, 0, 10);
  Workers::Made& also = workers.ask(1, 0, 10);
  CHECK(workers.ask(1, 2, 0).outcome == Outcome::kNoPlace);
  Workers::Made& two = workers.ask(0, 2, 10);
  usleep(2);
  // Raised: the newcomer waits behind those of the old limit, and goes with the first place.
  Workers::Made& four = workers.ask(1, 4, 10);
  CHECK(four.outcome == Outcome::kQueued);
  workers.end(unlimited);
  workers.loop.settle();
  CHECK(two.request.isAdmitted());
  CHECK(four.request.isAdmitted());
  CHECK_EQUAL(workers.memory.reserved(kDeployment), 3U);
  // Lowered: nothing new until the count is below.
  Workers::Made& lowered = workers.ask(0, 1, 10);
  workers.end(also);
  workers.end(two);
  workers.loop.settle();
  CHECK(!lowered.request.isAdmitted());
  workers.end(four);
  workers.loop.settle();
  CHECK(lowered.request.isAdmitted());
}

// What a dead worker held and where it waited is nobody's any more, and the others learn of it.
void takesBackWhatTheDeadHeld() {
  Workers workers(3);
  workers.ask(1, 2, 10);
  workers.ask(1, 2, 10);
  workers.ask(1, 2, 10);
  usleep(2);
  Workers::Made& waits = workers.ask(0, 2, 10);
  usleep(2);
  Workers::Made& behind = workers.ask(2, 2, 10);
  workers.memory.retire(1);
  workers.loop.settle();
  CHECK(waits.request.isAdmitted());
  CHECK(behind.request.isAdmitted());
  CHECK_EQUAL(workers.memory.reserved(kDeployment), 2U);
  CHECK_EQUAL(workers.memory.waiting(kDeployment), 0U);
  // The rest of the dead process is no part of the test.
  for (auto& made : workers.requests) {
    if (made.worker == 1) workers.end(made);
  }
}

// A worker that is woken and does not come keeps the others waiting for two looks, no longer.
void passesOverAWorkerThatStands() {
  LimitMemory memory(2);
  EpollLoop standing;
  TimerWheel standingWheel(standing);
  Admission stopped(standing, standingWheel, memory.peersOf(0));
  EpollLoop loop;
  TimerWheel wheel(loop);
  Admission runs(loop, wheel, memory.peersOf(1));
  const auto ask = [](Admission& admission, LimitRequest& request) {
    return admission.request(request, {}, {.gate = admission.gate(0), .maxInFlight = 1}, 10);
  };
  LimitRequest holder, oldest, next, later;
  CHECK(ask(runs, holder) == Outcome::kAdmitted);
  CHECK(ask(stopped, oldest) == Outcome::kQueued);
  usleep(2);
  // Waiting and passing over ask for no memory, which might not be there.
  const uint64_t allocations = allocationCount;
  CHECK(ask(runs, next) == Outcome::kQueued);
  CHECK(ask(runs, later) == Outcome::kQueued);
  runs.end(holder);
  loop.settle();
  CHECK(!next.isAdmitted());
  loop.advance(2 * kRescueMs + 2 * kTickMs);
  CHECK(next.isAdmitted());
  CHECK_EQUAL(allocationCount, allocations);
  // From then on without delay.
  runs.end(next);
  loop.settle();
  CHECK(later.isAdmitted());
  // When it comes back its request is the oldest as before.
  runs.end(later);
  standing.settle();
  CHECK(oldest.isAdmitted());
  stopped.end(oldest);
  CHECK(memory.isQuiet());
  CHECK(!loop.isTicking() && !standing.isTicking());
}

// A worker that the others cannot wake says so, and goes away without harm.
void saysThatItCannotBeWoken() {
  LimitMemory memory(2);
  EpollLoop loop;
  TimerWheel wheel(loop);
  setFault("watch", 1, ENOSPC);
  const Admission deaf(loop, wheel, memory.peersOf(0));
  const Admission second(loop, wheel, memory.peersOf(1));
  clearFaults();
  CHECK(!deaf.isWakeable());
  CHECK(second.isWakeable());
  AdmissionPeers alone = memory.peersOf(0);
  alone.wakeFds.clear();
  CHECK(Admission(loop, wheel, std::move(alone)).isWakeable());
}

void endsInAnyOrder() {
  Workers workers(2);
  workers.ask(0, 1, 10);
  for (int i = 0; i < 6; i++) workers.ask(static_cast<uint32_t>(i % 2), 1, 10, 1);
  for (const size_t index : {3U, 6U, 1U, 0U, 2U}) {
    workers.end(workers.requests[index]);
    if (index % 2 == 0) workers.loop.settle();
  }
  workers.loop.settle();
  CHECK_EQUAL(workers.memory.reserved(kDeployment), 1U);
  for (auto& made : workers.requests) workers.end(made);
  workers.loop.settle();
  CHECK(workers.memory.isQuiet());
  CHECK(!workers.loop.isTicking());
}

}  // namespace

int main() {
  admitsUpToTheLimitOverAllWorkers();
  boundsTheQueueOverAllWorkers();
  servesInOrderOfArrival();
  leavesTheQueue();
  holdsBothLimits();
  movesFromGateToGate();
  limitsChange();
  takesBackWhatTheDeadHeld();
  passesOverAWorkerThatStands();
  saysThatItCannotBeWoken();
  endsInAnyOrder();
  return finishChecks();
}
