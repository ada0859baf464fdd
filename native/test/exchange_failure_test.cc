// Addresses that fail, limits of time, cancels, and what may be sent twice.
#include <string>

#include "test/check.h"
#include "test/net/faults.h"
#include "test/net/relay.h"

namespace {

using namespace pointsman;
using namespace pointsman::test;

constexpr std::string_view kHead = "HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n";

void expectFailure(const Client& client, Failure failure, int status) {
  CHECK_EQUAL(client.failures, 1U);
  CHECK_EQUAL(static_cast<int>(client.failure), static_cast<int>(failure));
  CHECK_EQUAL(statusOf(client.failure), status);
}

void triesOtherAddresses() {
  for (int round = 0; round < 20; round++) {
    Relay relay;
    const RefusingPort refusing;
    const RefusingPort refusingToo;
    FakeReplica replica(relay.loop);
    replica.play(okForever());
    relay.setTargets({targetOf(refusing), targetOf(replica), targetOf(refusingToo)});
    CHECK_EQUAL(relay.fetch({.body = "x"}).body, "ok");
    CHECK_EQUAL(replica.requestCount(), 1U);
    relay.checkQuiet();
  }
}

// An exchange is used again for other requests: what it tried for one is forgotten for the next.
void forgetsWhatItTried() {
  Relay relay;
  FakeReplica one(relay.loop);
  FakeReplica two(relay.loop);
  for (FakeReplica* replica : {&one, &two}) replica->play({waitRequest(), send(kOk), finish()});
  relay.setTargets({targetOf(one), targetOf(two)});
  // As many as the retry budget of a new deployment has in hand.
  for (uint32_t i = 0; i < kRetriesFirst; i++) {
    // Whichever is asked first refuses, so that each was tried in vain by the one exchange there
    // is.
    setFault("connect", 1, ECONNREFUSED);
    const Client& client = relay.fetch();
    CHECK_EQUAL(client.exchange->id(), 0U);
    CHECK_EQUAL(client.body, "ok");
    relay.checkQuiet();
    CHECK(relay.loop.runUntil(
        [&] { return relay.pool(0).openCount() + relay.pool(1).openCount() == 0; }));
  }
  clearFaults();
}

void failsWithoutAddress() {
  Relay relay;
  expectFailure(relay.fetch(), Failure::kNoReadyAddress, 503);
  const RefusingPort refusing;
  const RefusingPort refusingToo;
  relay.setTargets({{.host = "127.0.0.1", .port = refusing.port(), .ready = false}});
  expectFailure(relay.fetch(), Failure::kNoReadyAddress, 503);
  relay.setTargets({targetOf(refusing), targetOf(refusingToo)});
  expectFailure(relay.fetch(), Failure::kConnectFailed, 503);
  CHECK_EQUAL(relay.address(0).stats().connectFailures, 1U);
  CHECK_EQUAL(relay.address(1).stats().connectFailures, 1U);
  relay.setTargets({{.host = "unix:/nowhere/at/all.sock"}});
  expectFailure(relay.fetch(), Failure::kConnectFailed, 503);
  setFault("socket", 1, EMFILE, true);
  expectFailure(relay.fetch(), Failure::kConnectionLimit, 503);
  clearFaults();
  CHECK_EQUAL(relay.stats.answers(4), 5U);
  relay.checkQuiet();
}

// A listener that accepts nothing and whose backlog is full: connecting hangs.
void timesOutConnecting() {
  Relay relay;
  FakeReplica hole(relay.loop, 0);
  hole.stopAccepting();
  relay.setTargets({targetOf(hole)});
  std::vector<Client*> fillers;
  for (int i = 0; i < 4; i++) fillers.push_back(&relay.start());
  relay.loop.settle();
  Client& client = relay.start();
  relay.loop.advance(relay.spec->connectMs - kTickMs);
  CHECK(!client.isOver());
  relay.loop.advance(3 * kTickMs);
  expectFailure(client, Failure::kConnectTimeout, 503);
  // With another address that answers, the request goes there.
  FakeReplica replica(relay.loop);
  replica.play(okForever());
  relay.setTargets({targetOf(hole), targetOf(replica)});
  for (int i = 0; i < 8; i++) {
    Client& saved = relay.start();
    relay.loop.settle();
    relay.loop.advance(relay.spec->connectMs + 2 * kTickMs);
    relay.finish(saved);
    CHECK_EQUAL(saved.body, "ok");
  }
  // The total limit counts while connecting.
  relay.setTargets({targetOf(hole)});
  relay.spec->totalMs = relay.spec->connectMs / 2;
  Client& limited = relay.start();
  relay.loop.advance(relay.spec->totalMs + 2 * kTickMs);
  expectFailure(limited, Failure::kTotalTimeout, 504);
  for (Client* filler : fillers) {
    if (!filler->isOver()) relay.cancel(*filler);
  }
  relay.checkQuiet();
}

void timesOutWaitingForHead() {
  for (const std::string_view part : {"", "HTTP/1.1 200 OK\r\n", "HTTP/1.1 100 Continue\r\n\r\n"}) {
    Relay relay;
    FakeReplica replica(relay.loop);
    relay.setTargets({targetOf(replica)});
    replica.play({waitRequest(), send(part), stall()});
    Client& client = relay.start({.method = "GET"});
    CHECK(relay.loop.runUntil([&] { return replica.requestCount() == 1; }));
    relay.loop.settle();
    relay.loop.advance(relay.spec->responseHeaderMs - kTickMs);
    CHECK(!client.isOver());
    relay.loop.advance(3 * kTickMs);
    expectFailure(client, Failure::kResponseHeaderTimeout, 504);
    // Never again after a timeout, and the connection is gone.
    CHECK(relay.loop.runUntil([&] { return replica.last().isPeerGone(); }));
    CHECK_EQUAL(replica.connectionCount(), 1U);
    relay.checkQuiet();
  }
}

void timesOutInBody() {
  Relay relay;
  FakeReplica replica(relay.loop);
  relay.setTargets({targetOf(replica)});
  replica.play({waitRequest(), send(std::string(kHead) + "12"), stall()});
  Client& client = relay.start();
  CHECK(relay.loop.runUntil([&] { return client.body == "12"; }));
  relay.loop.advance(relay.spec->bodyIdleMs - kTickMs);
  CHECK(!client.isOver());
  // Paused: the clock stands. Resumed: it starts anew.
  client.exchange->pauseAnswer();
  relay.loop.advance(10ULL * relay.spec->bodyIdleMs);
  CHECK(!client.isOver());
  client.exchange->resumeAnswer();
  relay.loop.advance(relay.spec->bodyIdleMs - kTickMs);
  CHECK(!client.isOver());
  relay.loop.advance(3 * kTickMs);
  expectFailure(client, Failure::kBodyIdleTimeout, 504);
  CHECK(client.headRelayed);
  relay.checkQuiet();
}

// An answer that began before its request was complete goes on when the client does: until then the
// replica has nothing to say, and neither its time runs nor is it blamed.
void waitsForTheClientInBody() {
  Relay relay;
  FakeReplica replica(relay.loop);
  relay.setTargets({targetOf(replica)});
  const uint32_t idleMs = relay.spec->bodyIdleMs;
  replica.play({send(std::string(kHead) + "12"), waitRequest(), stall()});
  Client& client = relay.start({.body = "ab", .contentLength = 6, .last = false});
  CHECK(relay.loop.runUntil([&] { return client.body == "12"; }));
  relay.loop.advance(10ULL * idleMs);
  CHECK(!client.isOver());
  relay.sendBody(client, "cd", false);
  relay.loop.settle();
  relay.loop.advance(10ULL * idleMs);
  CHECK(!client.isOver());
  CHECK_EQUAL(relay.address(0).stats().failures, 0U);
  // From the last byte on it is the replica's turn.
  relay.sendBody(client, "ef", true);
  CHECK(relay.loop.runUntil([&] { return replica.requestCount() == 1; }));
  relay.loop.advance(idleMs - kTickMs);
  CHECK(!client.isOver());
  relay.loop.advance(3 * kTickMs);
  expectFailure(client, Failure::kBodyIdleTimeout, 504);
  CHECK_EQUAL(relay.address(0).stats().failures, 1U);
  relay.checkQuiet();
}

void keepsTotalLimit() {
  Relay relay;
  FakeReplica replica(relay.loop);
  relay.setTargets({targetOf(replica)});
  relay.spec->totalMs = 3'000;
  replica.play({waitRequest(), send(std::string(kHead) + "123456789", 1), stall()});
  Client& client = relay.start();
  CHECK(relay.loop.runUntil([&] { return client.body == "123456789"; }));
  client.exchange->pauseAnswer();
  relay.loop.advance(2'900);
  CHECK(!client.isOver());
  relay.loop.advance(200);
  expectFailure(client, Failure::kTotalTimeout, 504);
  replica.play({waitRequest(), stall()});
  Client& silent = relay.start();
  relay.loop.settle();
  relay.loop.advance(3'100);
  expectFailure(silent, Failure::kTotalTimeout, 504);
  relay.checkQuiet();
}

// Every state: no call follows, and the replica sees its connection close.
void cancels() {
  const ReplicaScript scripts[] = {
      {stall()},
      {waitRequest(), stall()},
      {waitRequest(), send("HTTP/1.1 200"), stall()},
      {waitRequest(), send(std::string(kHead) + "12"), stall()},
      {stopReading()},
  };
  for (const ReplicaScript& script : scripts) {
    for (int turns = 0; turns < 8; turns++) {
      Relay relay;
      FakeReplica replica(relay.loop);
      relay.setTargets({targetOf(replica)});
      replica.play(script);
      Client& client =
          relay.start({.body = std::string(1'000, 'x'), .contentLength = 1'001, .last = false});
      if (turns == 7) relay.loop.settle();
      for (int i = 0; i < turns; i++) relay.loop.turn();
      if (turns % 2 == 1) client.exchange->pauseAnswer();
      relay.cancel(client);
      relay.cancel(client);
      CHECK_EQUAL(relay.sendBody(client, "x", true), 0U);
      client.exchange->pauseAnswer();
      client.exchange->resumeAnswer();
      relay.loop.settle();
      for (size_t i = 0; i < replica.connectionCount(); i++) replica.connection(i).readOn();
      CHECK(relay.loop.runUntil(
          [&] { return replica.connectionCount() == 0 || replica.last().isPeerGone(); }));
      relay.checkQuiet();
      CHECK_EQUAL(relay.pool().openCount(), 0U);
      CHECK_EQUAL(relay.stats.answers(3), 1U);
    }
  }
}

// A cancel from inside the door's call, at its head, in its body.
void cancelsFromCallbacks() {
  for (const uint32_t atEvent : {1U, 2U, 4U}) {
    Relay relay;
    FakeReplica replica(relay.loop);
    relay.setTargets({targetOf(replica)});
    replica.play({waitRequest(), send(std::string(kHead) + "0123456789", 1)});
    Client& client = relay.start();
    Client* follower = nullptr;
    client.onAnswer = [&](const AnswerEvent&) {
      if (client.events != atEvent) return;
      relay.cancel(client);
      replica.play(okForever());
      follower = &relay.start();
    };
    CHECK(relay.loop.runUntil([&] { return follower != nullptr && follower->isOver(); }));
    CHECK(follower->exchange != client.exchange);
    CHECK_EQUAL(client.events, atEvent);
    CHECK_EQUAL(client.ends, 0U);
    relay.checkQuiet();
  }
}

// What a warm connection that closes without an answer does to a request.
struct ReplayCase {
  std::string method;
  size_t bodyBytes;
  bool isReplaySafe;
  ReplicaStep closing;
  bool isReplayed;
};

void replays() {
  const ReplayCase cases[] = {
      {"GET", 0, false, finish(), true},       {"GET", 0, false, reset(), true},
      {"PUT", 60'000, false, finish(), true},  {"PUT", 70'000, false, finish(), false},
      {"POST", 10, false, finish(), false},    {"POST", 10, false, reset(), false},
      {"POST", 10, true, finish(), true},      {"POST", 10, true, reset(), true},
      {"POST", 70'000, true, finish(), false}, {"PATCH", 1, false, finish(), false},
  };
  for (const ReplayCase& one : cases) {
    for (const bool isSecondToo : {false, true}) {
      Relay relay;
      FakeReplica replica(relay.loop);
      relay.setTargets({targetOf(replica)});
      relay.spec->replaySafe = one.isReplaySafe;
      replica.play({waitRequest(), send(kOk), waitRequest(), one.closing});
      if (isSecondToo) {
        replica.play({waitRequest(), finish()});
      } else {
        replica.play(okForever());
      }
      relay.fetch({.method = "GET"});
      const Client& client =
          relay.fetch({.method = one.method, .body = std::string(one.bodyBytes, 'x')});
      CHECK_EQUAL(replica.connectionCount(), one.isReplayed ? 2U : 1U);
      if (one.isReplayed && !isSecondToo) {
        CHECK_EQUAL(client.body, "ok");
        CHECK(replica.connection(0).requests()[1] == replica.connection(1).requests()[0]);
      } else {
        expectFailure(client, Failure::kClosedBeforeAnswer, 502);
      }
      relay.checkQuiet();
    }
  }
}

// The replay finds its address refusing and goes to another one, past the warm connection there: on
// a fresh one, whose close is the end of it.
void replaysOnce() {
  for (const bool isSecondToo : {false, true}) {
    Relay relay;
    FakeReplica one(relay.loop);
    FakeReplica two(relay.loop);
    for (FakeReplica* replica : {&one, &two}) {
      replica->play({waitRequest(), send(kOk), waitRequest(), finish()});
      replica->play(isSecondToo ? ReplicaScript{waitRequest(), finish()} : okForever());
    }
    const auto setReady = [&](bool isOneReady, bool isTwoReady) {
      Target first = targetOf(one);
      Target second = targetOf(two);
      first.ready = isOneReady;
      second.ready = isTwoReady;
      relay.setTargets({first, second});
    };
    setReady(false, true);
    relay.fetch();
    setReady(true, false);
    relay.fetch();
    one.closeListener();
    Client& client = relay.start({.method = "GET"});
    setReady(true, true);
    relay.finish(client);
    if (isSecondToo) {
      expectFailure(client, Failure::kClosedBeforeAnswer, 502);
    } else {
      CHECK_EQUAL(client.body, "ok");
    }
    CHECK_EQUAL(one.requestCount(), 2U);
    CHECK_EQUAL(two.requestCount(), 2U);
    CHECK_EQUAL(two.connectionCount(), 2U);
    CHECK_EQUAL(two.connection(0).requests().size(), 1U);
    relay.checkQuiet();
  }
}

// Not one byte of an answer may have come; a fresh connection is not excused.
void doesNotReplay() {
  for (const std::string_view part :
       {"H", "HTTP/1.1 100 Continue\r\n\r\n", "HTTP/1.1 200 OK\r\n\r\nx"}) {
    Relay relay;
    FakeReplica replica(relay.loop);
    relay.setTargets({targetOf(replica)});
    relay.spec->replaySafe = true;
    replica.play({waitRequest(), send(kOk), waitRequest(), send(part), reset()});
    relay.fetch({.method = "GET"});
    const Client& client = relay.fetch({.method = "GET"});
    CHECK_EQUAL(client.failures, 1U);
    CHECK_EQUAL(replica.connectionCount(), 1U);
    relay.checkQuiet();
  }
  Relay relay;
  FakeReplica replica(relay.loop);
  FakeReplica other(relay.loop);
  relay.setTargets({targetOf(replica), targetOf(other)});
  replica.play({waitRequest(), finish()});
  other.play({waitRequest(), finish()});
  expectFailure(relay.fetch({.method = "GET"}), Failure::kClosedBeforeAnswer, 502);
  CHECK_EQUAL(replica.requestCount() + other.requestCount(), 1U);
}

// The first write fails, so not a byte has left: any method goes on, warm or fresh, however long
// its body.
void goesOnWhenNothingWasSent() {
  for (const bool isWarm : {true, false}) {
    Relay relay;
    FakeReplica replica(relay.loop);
    FakeReplica other(relay.loop);
    replica.play(okForever());
    other.play(okForever());
    relay.setTargets({targetOf(replica)});
    if (isWarm) relay.fetch();
    relay.setTargets(isWarm ? std::vector{targetOf(replica)}
                            : std::vector{targetOf(replica), targetOf(other)});
    setFault("sendmsg", 1, EPIPE);
    const Client& client = relay.fetch({.body = std::string(200'000, 'x')});
    CHECK_EQUAL(client.body, "ok");
    clearFaults();
    CHECK_EQUAL(replica.requestCount() + other.requestCount(), isWarm ? 2U : 1U);
    relay.checkQuiet();
  }
}

// Sending fails and nothing more comes than part of a head: known at once, not by a limit of time.
void judgesBrokenSends() {
  for (const std::string_view part : {"", "HTTP/1.1 2"}) {
    Relay relay;
    FakeReplica replica(relay.loop);
    relay.setTargets({targetOf(replica)});
    replica.play({waitBytes(1)});
    Client& client = relay.start({.contentLength = 2, .last = false});
    CHECK(relay.loop.runUntil(
        [&] { return replica.connectionCount() == 1 && replica.last().isPlayed(); }));
    setFault("sendmsg", 1, ENOBUFS);
    replica.last().appendNow({send(part)});
    relay.sendBody(client, "x", false);
    clearFaults();
    relay.finish(client);
    expectFailure(client, part.empty() ? Failure::kClosedBeforeAnswer : Failure::kBadAnswer, 502);
    relay.checkQuiet();
  }
}

// The set of addresses shrinks while a request holds an index into it.
void survivesAddressChanges() {
  Relay relay;
  FakeReplica replica(relay.loop);
  FakeReplica other(relay.loop);
  FakeReplica third(relay.loop);
  replica.play({waitRequest(), send(kOk), waitRequest(), stall()});
  relay.setTargets({targetOf(other), targetOf(third), targetOf(replica)});
  for (Client* warm = nullptr; replica.connectionCount() == 0;) {
    other.play(okForever());
    third.play(okForever());
    warm = &relay.fetch({.method = "GET"});
    CHECK_EQUAL(warm->ends, 1U);
  }
  // On the warm connection of the last entry, which then goes away with all but one.
  Client* client = nullptr;
  while (replica.requestCount() < 2) {
    client = &relay.start({.method = "GET"});
    relay.loop.settle();
  }
  const Ref<Address> old = relay.spec->addresses->entry(2).address;
  relay.setTargets({targetOf(other)});
  CHECK_EQUAL(old->stats().inFlight, 1U);
  replica.closeListener();
  // Its replay finds the old address refusing, and goes to the one there is.
  replica.last().abort();
  relay.finish(*client);
  CHECK_EQUAL(client->body, "ok");
  CHECK_EQUAL(old->stats().inFlight, 0U);
  relay.checkQuiet();
  // Nothing left at all, with a request under way.
  other.play({waitRequest(), stall()});
  Client& orphan = relay.start({.method = "GET"});
  relay.setTargets({});
  relay.loop.settle();
  CHECK(!orphan.isOver() || orphan.ends == 1);
  if (!orphan.isOver()) relay.cancel(orphan);
  relay.checkQuiet();
}

// Drops the engine with exchanges in every state.
void destroysEngine() {
  const size_t descriptors = openDescriptors();
  for (int turns = 0; turns < 12; turns++) {
    auto relay = std::make_unique<Relay>();
    FakeReplica hole(relay->loop, 0);
    hole.stopAccepting();
    FakeReplica silent(relay->loop);
    silent.play({stall()});
    FakeReplica streaming(relay->loop);
    streaming.play({waitRequest(), send(std::string(kHead) + "123"), stall()});
    FakeReplica quick(relay->loop);
    quick.play(okForever());
    const RefusingPort refusing;
    const std::vector<Target> targets = {targetOf(hole), targetOf(silent), targetOf(streaming),
                                         targetOf(quick), targetOf(refusing)};
    for (const Target& target : targets) {
      relay->setTargets({target});
      for (int i = 0; i < 3; i++) relay->start({.body = std::string(300'000, 'x')});
    }
    relay->setTargets({});
    relay->start();
    relay->start({.fields = "bad"});
    for (int i = 0; i < turns; i++) relay->loop.turn(1);
    relay->destroyEngine();
    relay->loop.settle();
  }
  CHECK_EQUAL(openDescriptors(), descriptors);
}

}  // namespace

int main() {
  triesOtherAddresses();
  forgetsWhatItTried();
  failsWithoutAddress();
  timesOutConnecting();
  timesOutWaitingForHead();
  timesOutInBody();
  waitsForTheClientInBody();
  keepsTotalLimit();
  cancels();
  cancelsFromCallbacks();
  replays();
  replaysOnce();
  doesNotReplay();
  goesOnWhenNothingWasSent();
  judgesBrokenSends();
  survivesAddressChanges();
  destroysEngine();
  return finishChecks();
}
