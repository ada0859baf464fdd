// What failures of requests do to the choice of addresses, and what they do not.
#include <deque>
#include <string>

#include "test/check.h"
#include "test/net/faults.h"
#include "test/net/relay.h"

namespace {

using namespace pointsman;
using namespace pointsman::test;

ReplicaScript answering(std::string_view answer) {
  ReplicaScript script;
  for (int i = 0; i < 512; i++) {
    script.push_back(waitRequest());
    script.push_back(send(answer));
  }
  return script;
}

// One of two addresses is down: no client sees it, and soon it is not asked any more.
void ejectsADeadAddress() {
  Relay relay;
  const RefusingPort refusing;
  FakeReplica replica(relay.loop);
  replica.play(answering(kOk));
  relay.setTargets({targetOf(refusing), targetOf(replica)});
  for (int i = 0; i < 400; i++) CHECK_EQUAL(relay.fetch().body, "ok");
  const AddressStats& stats = relay.address(0).stats();
  CHECK_EQUAL(stats.failures, kFailuresInRowMax);
  CHECK_EQUAL(stats.ejections, 1U);
  CHECK_EQUAL(stats.connects, kFailuresInRowMax);
  CHECK_EQUAL(relay.address(1).stats().retries, kFailuresInRowMax);
  relay.checkQuiet();
}

// Half of many go at once, under way nothing: the budget that good traffic has filled is enough.
void survivesHalfOfMany() {
  constexpr size_t kReplicas = 12;
  Relay relay;
  std::deque<FakeReplica> replicas;
  std::vector<Target> targets;
  for (size_t i = 0; i < kReplicas; i++) {
    replicas.emplace_back(relay.loop).play(answering(kOk));
    targets.push_back(targetOf(replicas.back()));
  }
  relay.setTargets(targets);
  for (int i = 0; i < 500; i++) CHECK_EQUAL(relay.fetch().body, "ok");
  for (size_t i = 0; i < kReplicas; i += 2) {
    replicas[i].closeListener();
    for (size_t at = 0; at < replicas[i].connectionCount(); at++) {
      replicas[i].connection(at).abort();
    }
  }
  relay.loop.settle();
  for (int i = 0; i < 1'000; i++) CHECK_EQUAL(relay.fetch().body, "ok");
  for (size_t i = 0; i < kReplicas; i++) {
    CHECK_EQUAL(relay.address(i).stats().ejections, i % 2 == 0 ? 1U : 0U);
  }
  relay.checkQuiet();
}

// Everything is down: attempts are bounded by 1.2 times the requests, and the first that finds a
// replica up again brings the traffic back.
void boundsAttemptsWhileAllAreDown() {
  Relay relay;
  FakeReplica replica(relay.loop);
  replica.play(answering(kOk));
  const RefusingPort one;
  const RefusingPort two;
  relay.setTargets({targetOf(one), targetOf(two)});
  constexpr uint64_t kRequests = 300;
  for (uint64_t i = 0; i < kRequests; i++) {
    CHECK_EQUAL(relay.fetch().failures, 1U);
    relay.loop.advance(kTickMs);
  }
  const uint64_t attempts = relay.address(0).stats().connects + relay.address(1).stats().connects;
  CHECK(attempts > kRequests);
  CHECK(attempts * 10 <= kRequests * 12);
  CHECK_EQUAL(relay.stats.answers(4), kRequests);
  // Its place is taken by one that is up.
  relay.setTargets({targetOf(one), targetOf(replica)});
  relay.fetch();
  uint32_t failures = 0;
  for (int i = 0; i < 40; i++) failures += relay.fetch().failures;
  CHECK(failures == 0);
  relay.checkQuiet();
}

struct Sickness {
  std::string_view name;
  ReplicaScript script;
  bool isBlamed;
};

void blamesWhatIsSick() {
  const auto status = [](std::string_view line) {
    return answering(std::string("HTTP/1.1 ").append(line).append("\r\ncontent-length: 0\r\n\r\n"));
  };
  const Sickness cases[] = {
      {"500", status("500 x"), true},
      {"502", status("502 x"), true},
      {"503", status("503 x"), true},
      {"503 with Retry-After", status("503 x\r\nRETRY-after: 1"), false},
      {"429", status("429 x"), false},
      {"501", status("501 x"), false},
      {"404", status("404 x"), false},
      {"closes", {waitRequest(), finish()}, true},
      {"resets", {waitRequest(), reset()}, true},
      {"no HTTP", {waitRequest(), send("SSH-2.0\r\n"), stall()}, true},
      {"short",
       {waitRequest(), send("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n"), finish()},
       true},
      {"until close", {waitRequest(), send("HTTP/1.1 200 OK\r\n\r\nx"), finish()}, false},
  };
  for (const Sickness& one : cases) {
    const uint64_t failures = failureCount;
    Relay relay;
    FakeReplica sick(relay.loop);
    FakeReplica well(relay.loop);
    sick.play(one.script);
    well.play(answering(kOk));
    relay.setTargets({targetOf(sick), targetOf(well)});
    for (int i = 0; i < 40; i++) relay.fetch();
    const AddressStats& stats = relay.address(0).stats();
    CHECK_EQUAL(stats.ejections, one.isBlamed ? 1U : 0U);
    // Each failure once.
    CHECK_EQUAL(stats.failures, one.isBlamed ? kFailuresInRowMax : 0U);
    CHECK_EQUAL(relay.address(1).stats().failures, 0U);
    if (failureCount > failures) std::cerr << "in " << one.name << '\n';
    relay.checkQuiet();
  }
}

// A hung replica: its time-outs take it out.
void blamesTimeouts() {
  Relay relay;
  FakeReplica hung(relay.loop);
  FakeReplica well(relay.loop);
  hung.play({stall()});
  well.play(answering(kOk));
  relay.setTargets({targetOf(hung), targetOf(well)});
  std::vector<Client*> clients;
  for (int i = 0; i < 20; i++) clients.push_back(&relay.start());
  relay.loop.settle();
  relay.loop.advance(relay.spec->responseHeaderMs + 2 * kTickMs);
  for (Client* client : clients) CHECK(client->isOver());
  CHECK_EQUAL(relay.address(0).stats().ejections, 1U);
  for (int i = 0; i < 20; i++) CHECK_EQUAL(relay.fetch().body, "ok");
  relay.checkQuiet();
}

// What the client did, or this machine lacks, speaks against no address.
void blamesNobodyForOthers() {
  Relay relay;
  FakeReplica replica(relay.loop);
  FakeReplica other(relay.loop);
  for (FakeReplica* one : {&replica, &other}) one->play({waitRequest(), stall()});
  relay.setTargets({targetOf(replica), targetOf(other)});
  for (int i = 0; i < 20; i++) {
    Client& left = relay.start();
    relay.loop.settle();
    relay.cancel(left);
    relay.fetch({.fields = "bad"});
  }
  // Its body does not come.
  Client& slow = relay.start({.contentLength = 10, .last = false});
  relay.loop.settle();
  relay.loop.advance(relay.spec->responseHeaderMs + 2 * kTickMs);
  CHECK(!slow.isOver());
  relay.cancel(slow);
  setFault("socket", 1, EMFILE, true);
  for (int i = 0; i < 10; i++) CHECK(relay.fetch().failure == Failure::kConnectionLimit);
  clearFaults();
  CHECK_EQUAL(relay.address(0).stats().failures + relay.address(1).stats().failures, 0U);
  relay.checkQuiet();
}

// A kept connection that closed as it was used again is no sickness, when a replay saves the
// request.
void excusesReplays() {
  Relay relay;
  FakeReplica replica(relay.loop);
  FakeReplica other(relay.loop);
  relay.spec->replaySafe = true;
  for (FakeReplica* one : {&replica, &other}) {
    for (int i = 0; i < 30; i++) {
      one->play({waitRequest(), send(kOk), waitRequest(), finish()});
    }
  }
  relay.setTargets({targetOf(replica), targetOf(other)});
  for (int i = 0; i < 50; i++) CHECK_EQUAL(relay.fetch().body, "ok");
  CHECK_EQUAL(relay.address(0).stats().failures + relay.address(1).stats().failures, 0U);
  CHECK(relay.address(0).stats().retries + relay.address(1).stats().retries > 20);
  relay.checkQuiet();
}

}  // namespace

int main() {
  ejectsADeadAddress();
  survivesHalfOfMany();
  boundsAttemptsWhileAllAreDown();
  blamesWhatIsSick();
  blamesTimeouts();
  blamesNobodyForOthers();
  excusesReplays();
  return finishChecks();
}
