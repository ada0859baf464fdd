// Threads that stand for workers, each with a loop and an admission of its own, on the same words.
//
// The clock of their loops stands still, so there are no rescues: a wake-up that is lost, or one
// place that leaks, stops the test. A thread "dies" with whatever it holds and waits for, as a
// worker that is killed does, and another takes its column. Runs under ThreadSanitizer too.
#include <chrono>
#include <deque>
#include <thread>

#include "core/rng.h"
#include "net/admission.h"
#include "test/check.h"
#include "test/net/limit_workers.h"

namespace {

using namespace pointsman;
using namespace pointsman::test;
using Outcome = Admission::Outcome;

constexpr uint32_t kDeployment = 0;
constexpr uint32_t kEntities = 2;
constexpr int kPatienceMs = 20'000;
constexpr int kSleepMs = 1'000;

struct Settings {
  uint32_t workers = 4;
  uint32_t limit = 4;
  uint32_t queueMax = 1'000;
  // 0: none.
  uint32_t entityLimit = 0;
  // At once, per worker; and in all.
  uint32_t clients = 16;
  uint32_t requests = 20'000;
  // Every so many requests one leaves while it waits; 0: none does.
  uint32_t leavesEvery = 0;
  // Nobody begins the next request before all have ended theirs, with one client each: later
  // traffic cannot put right what was lost.
  bool isInStep = false;
};

// What all workers see, as a replica would count it.
struct Shared {
  explicit Shared(const Settings& given) : settings(given), memory(given.workers) {}
  Settings settings;
  LimitMemory memory;
  std::atomic<uint32_t> busy{0};
  std::array<std::atomic<uint32_t>, kEntities> entityBusy{};
  std::atomic<uint64_t> overLimit{0};
  std::atomic<uint64_t> overQueue{0};
  std::atomic<uint64_t> stuck{0};
  std::atomic<uint64_t> admitted{0};
  std::atomic<uint64_t> ended{0};
  std::atomic<uint64_t> refused{0};
};

class Worker {
 public:
  Worker(Shared& shared, uint32_t self, uint64_t seed)
      : shared_(shared),
        self_(self),
        rng_(seed),
        wheel_(loop_),
        admission_(loop_, wheel_, shared.memory.peersOf(self)) {}
  // Of a dead one nothing may be called that would write to its words: its process is gone.
  ~Worker() {
    for (Client& client : clients_) admission_.end(client.request);
  }
  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;

  // `lifetime`: requests after which it dies; 0: it does all and ends well.
  void start(uint32_t lifetime) {
    thread_ = std::thread([this, lifetime] { run(lifetime); });
  }
  void join() { thread_.join(); }
  uint32_t done() const { return done_; }

 private:
  struct Client {
    enum class State : uint8_t { kIdle, kWaits, kRuns };
    State state = State::kIdle;
    uint32_t entity = 0;
    uint32_t turnsLeft = 0;
    LimitRequest request{};
  };

  void run(uint32_t lifetime) {
    const Settings& settings = shared_.settings;
    for (uint32_t i = 0; i < settings.clients; i++) {
      Client& client = clients_.emplace_back();
      client.request.onGo = [this, &client] { begin(client); };
    }
    auto progressAt = std::chrono::steady_clock::now();
    uint32_t doneBefore = 0;
    for (;;) {
      bool isAnyAtWork = false;
      bool isAnyLeft = false;
      for (Client& client : clients_) {
        step(client);
        const bool isIdle = client.state == Client::State::kIdle;
        isAnyAtWork = isAnyAtWork || client.state == Client::State::kRuns ||
                      (isIdle && begun_ < settings.requests);
        isAnyLeft = isAnyLeft || !isIdle;
      }
      if (lifetime != 0 && done_ >= lifetime) break;
      if (!isAnyLeft && begun_ >= settings.requests) return;
      // Where all wait, only another worker's wake-up helps.
      loop_.turn(isAnyAtWork ? 0 : kSleepMs);
      if (settings.isInStep) std::this_thread::yield();
      const auto now = std::chrono::steady_clock::now();
      if (done_ != doneBefore) progressAt = now;
      doneBefore = done_;
      if (now - progressAt > std::chrono::milliseconds(kPatienceMs)) {
        shared_.stuck++;
        break;
      }
    }
    // The kernel closes a dead process's connections before anybody learns of its death.
    for (Client& client : clients_) {
      if (client.state == Client::State::kRuns) stopBusy(client);
    }
  }

  void step(Client& client) {
    const Settings& settings = shared_.settings;
    switch (client.state) {
      case Client::State::kIdle:
        if (mayBegin()) ask(client);
        break;
      case Client::State::kWaits:
        if (settings.leavesEvery != 0 && rng_.next() % (settings.leavesEvery * 8) == 0) {
          client.state = Client::State::kIdle;
          admission_.end(client.request);
          countEnd();
        }
        break;
      case Client::State::kRuns:
        if (client.turnsLeft-- > 0) break;
        stopBusy(client);
        client.state = Client::State::kIdle;
        admission_.end(client.request);
        countEnd();
        break;
    }
  }

  bool mayBegin() const {
    const Settings& settings = shared_.settings;
    if (begun_ >= settings.requests) return false;
    return !settings.isInStep || shared_.ended.load() >= uint64_t{begun_} * settings.workers;
  }

  void countEnd() {
    done_++;
    shared_.ended++;
  }

  void ask(Client& client) {
    const Settings& settings = shared_.settings;
    begun_++;
    client.entity = static_cast<uint32_t>(rng_.next() % kEntities);
    client.state = Client::State::kWaits;
    const Outcome outcome = admission_.request(
        client.request,
        {.gate = admission_.gate(1 + client.entity), .maxInFlight = settings.entityLimit},
        {.gate = admission_.gate(kDeployment), .maxInFlight = settings.limit}, settings.queueMax);
    if (outcome == Outcome::kAdmitted) {
      begin(client);
    } else if (outcome == Outcome::kQueued) {
      // Exact, but for those that raise the word for a moment to find that it is full.
      const uint64_t transient = settings.workers;
      if (shared_.memory.waiting(kDeployment) > settings.queueMax + transient) shared_.overQueue++;
    } else {
      client.state = Client::State::kIdle;
      shared_.refused++;
      countEnd();
    }
  }

  void begin(Client& client) {
    const Settings& settings = shared_.settings;
    client.state = Client::State::kRuns;
    client.turnsLeft = static_cast<uint32_t>(rng_.next() % 4);
    shared_.admitted++;
    if (shared_.busy.fetch_add(1) >= settings.limit) shared_.overLimit++;
    if (shared_.entityBusy[client.entity].fetch_add(1) >= settings.entityLimit &&
        settings.entityLimit != 0) {
      shared_.overLimit++;
    }
  }

  void stopBusy(Client& client) {
    shared_.busy.fetch_sub(1);
    shared_.entityBusy[client.entity].fetch_sub(1);
  }

  Shared& shared_;
  uint32_t self_;
  Xoshiro256pp rng_;
  EpollLoop loop_;
  TimerWheel wheel_;
  Admission admission_;
  std::deque<Client> clients_;
  uint32_t begun_ = 0;
  uint32_t done_ = 0;
  std::thread thread_;
};

void checkQuiet(Shared& shared) {
  CHECK_EQUAL(shared.stuck.load(), 0U);
  CHECK_EQUAL(shared.overLimit.load(), 0U);
  CHECK_EQUAL(shared.overQueue.load(), 0U);
  CHECK_EQUAL(shared.busy.load(), 0U);
  CHECK(shared.memory.isQuiet());
}

void allAreServed(const Settings& settings) {
  Shared shared(settings);
  std::vector<std::unique_ptr<Worker>> workers;
  for (uint32_t self = 0; self < settings.workers; self++) {
    workers.push_back(std::make_unique<Worker>(shared, self, self + 1));
  }
  for (auto& worker : workers) worker->start(0);
  for (auto& worker : workers) worker->join();
  for (auto& worker : workers) CHECK_EQUAL(worker->done(), settings.requests);
  checkQuiet(shared);
  const bool canRefuse = settings.queueMax < settings.workers * settings.clients;
  if (!canRefuse) CHECK_EQUAL(shared.refused.load(), 0U);
  CHECK(shared.admitted.load() > 0);
}

// Worker 0 lives; the others die again and again while it has a load, and come back.
void theDeadLeaveNothingBehind() {
  constexpr uint32_t kDeaths = 24;
  const Settings settings{.requests = 60'000};
  Shared shared(settings);
  Worker survivor(shared, 0, 99);
  survivor.start(0);
  std::vector<std::unique_ptr<Worker>> dead;
  for (uint32_t death = 0; death < kDeaths; death++) {
    const uint32_t self = 1 + death % (settings.workers - 1);
    dead.push_back(std::make_unique<Worker>(shared, self, death));
    dead.back()->start(1 + death * 100);
    dead.back()->join();
    shared.memory.retire(self);
  }
  survivor.join();
  CHECK_EQUAL(survivor.done(), settings.requests);
  checkQuiet(shared);
}

}  // namespace

int main() {
  // The usual: few places, many that wait.
  allAreServed({});
  // One place, which every worker tries to get at once; hardly anybody waits.
  allAreServed({.limit = 1, .clients = 1, .requests = 40'000});
  allAreServed({.workers = 2, .limit = 1, .clients = 1, .requests = 4'000, .isInStep = true});
  allAreServed({.workers = 3, .limit = 1, .clients = 1, .requests = 1'500, .isInStep = true});
  allAreServed({.workers = 3,
                .limit = 1,
                .clients = 1,
                .requests = 1'500,
                .leavesEvery = 1,
                .isInStep = true});
  allAreServed({.workers = 8, .limit = 1, .clients = 4, .requests = 5'000});
  // Clients that leave while they wait, and just as they are woken.
  allAreServed({.limit = 2, .leavesEvery = 4});
  // A queue that is full most of the time, and none at all.
  allAreServed({.limit = 2, .queueMax = 5});
  allAreServed({.limit = 3, .queueMax = 0, .requests = 100'000});
  // Two limits in a row.
  allAreServed({.limit = 3, .entityLimit = 2});
  allAreServed({.limit = 3, .entityLimit = 2, .leavesEvery = 4});
  theDeadLeaveNothingBehind();
  return finishChecks();
}
