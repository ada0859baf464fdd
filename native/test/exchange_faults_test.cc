// Every socket call of the engine fails once, at every place where it is made, with every errno
// that matters; and exchanges under a rain of random events. Whatever happens: one end or one
// failure per exchange, all counters back at zero, no descriptor lost.
#include <cerrno>
#include <string>

#include "core/rng.h"
#include "test/check.h"
#include "test/net/faults.h"
#include "test/net/relay.h"

namespace {

using namespace pointsman;
using namespace pointsman::test;

struct Fault {
  const char* call;
  std::vector<int> errors;
};

const std::vector<Fault>& faults() {
  static const std::vector<Fault> kFaults = {
      {"socket", {EMFILE, ENFILE, ENOBUFS, ENOMEM, EAFNOSUPPORT}},
      {"connect", {ECONNREFUSED, ENETUNREACH, EADDRNOTAVAIL, EAGAIN, EINTR, EACCES}},
      {"sendmsg", {EAGAIN, EINTR, EPIPE, ECONNRESET, ENOBUFS, ENOMEM, EPERM}},
      // Not EAGAIN and EINTR: a read that does not block says neither while there is something.
      {"recv", {ECONNRESET, ENOMEM, ETIMEDOUT, ENOTCONN}},
  };
  return kFaults;
}

// Two replicas with warm and fresh connections, streamed and chunked bodies, a replay, a refusal,
// an idle peek.
struct Scenario {
  void run() {
    Relay relay;
    FakeReplica one(relay.loop);
    FakeReplica two(relay.loop);
    const RefusingPort refusing;
    relay.setTargets({targetOf(one), targetOf(two), targetOf(refusing)});
    const std::string chunks =
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n";
    for (FakeReplica* replica : {&one, &two}) {
      replica->play(
          {waitRequest(), send(kOk), waitRequest(), send(chunks, 9), waitRequest(), finish()});
      replica->play({waitRequest(), send("HTTP/1.1 200 OK\r\n\r\nto the end"), finish()});
      replica->play(okForever());
    }
    for (int round = 0; round < 3; round++) {
      over(relay, relay.start({.method = "GET"}));
      over(relay, relay.start({.body = std::string(100'000, 'x')}));
      Client& streamed = relay.start({.contentLength = -1, .last = false});
      for (int i = 0; i < 3; i++) {
        relay.loop.turn();
        if (!streamed.isOver()) relay.sendBody(streamed, std::string(50'000, 'y'), i == 2);
      }
      over(relay, streamed);
    }
    relay.checkQuiet();
    CHECK(relay.spec->addresses->entries().size() == 3);
  }

  // An exchange whose answer was lost to a fault ends by a limit of time; the clock moves when
  // nothing else does.
  void over(Relay& relay, Client& client) {
    for (int i = 0; i < 3'000 && !client.isOver(); i++) {
      if (!relay.loop.turn(1)) relay.loop.advance(kTickMs * 5);
    }
    CHECK_EQUAL(client.ends + client.failures, 1U);
    ends += client.ends;
    timeouts += client.failure == Failure::kResponseHeaderTimeout ? 1 : 0;
  }

  uint32_t ends = 0;
  uint32_t timeouts = 0;
};

void failsEveryCall() {
  const size_t descriptors = openDescriptors();
  for (const Fault& fault : faults()) {
    for (const int error : fault.errors) {
      uint32_t calls = 1;
      for (uint32_t nth = 1; nth <= calls; nth++) {
        const uint64_t failures = failureCount;
        setFault(fault.call, nth, error);
        Scenario scenario;
        scenario.run();
        calls = std::min(faultCalls(), 60U);
        clearFaults();
        CHECK(scenario.ends >= 5);
        // A fault is noticed at once, not by waiting for an answer that cannot come.
        CHECK_EQUAL(scenario.timeouts, 0U);
        CHECK_EQUAL(openDescriptors(), descriptors);
        if (failureCount > failures) {
          std::cerr << "in " << fault.call << ' ' << nth << " errno " << error << '\n';
        }
      }
      // For good from the third call on.
      setFault(fault.call, 3, error, true);
      if (error != EAGAIN && error != EINTR) Scenario().run();
      clearFaults();
      CHECK_EQUAL(openDescriptors(), descriptors);
    }
  }
}

ReplicaScript randomScript(Xoshiro256pp& rng) {
  ReplicaScript script;
  const uint64_t steps = 1 + rng.next() % 6;
  for (uint64_t i = 0; i < steps; i++) {
    switch (rng.next() % 12) {
      case 0:
        script.push_back(finish());
        break;
      case 1:
        script.push_back(reset());
        break;
      case 2:
        script.push_back(stall());
        break;
      case 3:
        script.push_back(waitBytes(1 + rng.next() % 100'000));
        break;
      case 4:
        script.push_back(readSlowly(1 + rng.next() % 50'000));
        break;
      case 5:
        script.push_back(
            send("HTTP/1.1 200 OK\r\ncontent-length: 400000\r\n\r\n" + std::string(400'000, 'b')));
        break;
      case 6:
        script.push_back(
            send("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\nabcd\r\n0\r\n\r\n", 3));
        break;
      case 7:
        script.push_back(send(std::string(kOk) + "extra"));
        break;
      default:
        script.push_back(waitRequest());
        script.push_back(send(kOk, rng.next() % 2 * 7));
        break;
    }
  }
  return script;
}

// What a client may do to its exchange at any moment.
void act(Relay& relay, Client& client, Xoshiro256pp& rng) {
  switch (rng.next() % 8) {
    case 0:
      client.exchange->pauseAnswer();
      break;
    case 1:
    case 2:
      client.exchange->resumeAnswer();
      break;
    case 3:
      relay.cancel(client);
      client.failures++;
      break;
    default:
      relay.sendBody(client, std::string(rng.next() % 90'000, 'c'), rng.next() % 3 == 0);
      break;
  }
}

void survivesChance(uint64_t seed) {
  Xoshiro256pp rng(seed);
  const size_t descriptors = openDescriptors();
  {
    Relay relay;
    relay.spec->totalMs = 20'000;
    relay.spec->replaySafe = seed % 2 == 0;
    FakeReplica one(relay.loop);
    FakeReplica two(relay.loop);
    FakeReplica three(relay.loop);
    const RefusingPort refusing;
    std::vector<Target> targets = {targetOf(one), targetOf(two), targetOf(three),
                                   targetOf(refusing)};
    relay.setTargets(targets);
    std::vector<Client*> clients;
    for (int round = 0; round < 300; round++) {
      for (FakeReplica* replica : {&one, &two, &three}) replica->play(randomScript(rng));
      if (rng.next() % 2 == 0) {
        const bool isGet = rng.next() % 3 == 0;
        clients.push_back(&relay.start({.method = isGet ? "GET" : "POST",
                                        .body = isGet ? "" : std::string(rng.next() % 3'000, 'a'),
                                        .contentLength = isGet ? 0 : -1,
                                        .last = isGet || rng.next() % 2 == 0}));
      }
      if (rng.next() % 16 == 0) {
        static constexpr const char* kCalls[] = {"socket", "connect", "sendmsg", "recv"};
        static constexpr int kErrors[] = {EMFILE, ECONNREFUSED, ECONNRESET, EAGAIN, ENOMEM};
        setFault(kCalls[rng.next() % 4], 1 + static_cast<uint32_t>(rng.next() % 20),
                 kErrors[rng.next() % 5]);
      }
      if (rng.next() % 32 == 0) {
        std::swap(targets[rng.next() % 4], targets[rng.next() % 4]);
        relay.setTargets({targets.begin(), targets.begin() + static_cast<long>(rng.next() % 5)});
      }
      if (!clients.empty()) {
        Client& client = *clients[rng.next() % clients.size()];
        if (!client.isOver()) act(relay, client, rng);
      }
      relay.loop.turn();
      if (rng.next() % 8 == 0) relay.loop.advance(rng.next() % 400);
    }
    clearFaults();
    // A third of the runs end with the engine, with whatever is in flight.
    if (seed % 3 == 0) {
      relay.destroyEngine();
    } else {
      for (Client* client : clients) {
        if (!client->isOver()) client->exchange->resumeAnswer();
      }
      relay.loop.advance(25'000);
      relay.loop.settle();
      for (const Client* client : clients) CHECK_EQUAL(client->ends + client->failures, 1U);
      relay.checkQuiet();
    }
  }
  CHECK_EQUAL(openDescriptors(), descriptors);
}

}  // namespace

int main() {
  failsEveryCall();
  for (uint64_t seed = 1; seed <= 120; seed++) {
    const uint64_t failures = failureCount;
    survivesChance(seed);
    if (failureCount > failures) std::cerr << "in seed " << seed << '\n';
  }
  return finishChecks();
}
