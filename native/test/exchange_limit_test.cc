// Requests that wait for a place under a limit, and that every place is given back once, whatever
// becomes of the request.
#include <string>

#include "test/check.h"
#include "test/net/faults.h"
#include "test/net/relay.h"

namespace {

using namespace pointsman;
using namespace pointsman::test;

constexpr uint32_t kDeploymentSlot = 3;
constexpr uint32_t kQueueMs = 500;

struct Limited {
  explicit Limited(uint32_t maxInFlight, uint32_t queueMax = 8) : replica(relay.loop) {
    relay.setTargets({targetOf(replica)});
    relay.spec->limit = {.gate = relay.engine->admission().gate(kDeploymentSlot),
                         .maxInFlight = maxInFlight};
    relay.spec->queueMax = queueMax;
    relay.spec->queueMs = kQueueMs;
  }
  LimitWords& words() { return relay.column->limits[kDeploymentSlot]; }
  uint32_t reserved() { return words().reserved.load(); }
  uint32_t waiting() { return words().waiting.load(); }
  // A request that the replica has and does not answer.
  Client& hold() {
    const size_t before = replica.requestCount();
    Client& client = relay.start({.body = "{}"});
    CHECK(relay.loop.runUntil([this, before] { return replica.requestCount() > before; }));
    return client;
  }
  void checkQuiet() {
    relay.checkQuiet();
    CHECK_EQUAL(reserved(), 0U);
    CHECK_EQUAL(waiting(), 0U);
    CHECK_EQUAL(words().oldestUs.load(), 0U);
    CHECK_EQUAL(relay.column->header.waiters.load(), 0U);
  }

  Relay relay;
  FakeReplica replica;
};

void refusesWithoutAQueue() {
  Limited test(1, 0);
  test.replica.play({waitRequest(), stall()});
  Client& holder = test.hold();
  const Client& refused = test.relay.fetch({.body = "{}"});
  CHECK(refused.failure == Failure::kDeploymentLimit && !refused.headRelayed);
  CHECK_EQUAL(statusOf(refused.failure), 429);
  test.relay.entityLimit = {.gate = test.relay.engine->admission().gate(9), .maxInFlight = 1};
  test.relay.cancel(holder);
  test.relay.loop.settle();
  Client& entityHolder = test.hold();
  test.relay.spec->limit.maxInFlight = 5;
  CHECK(test.relay.fetch({.body = "{}"}).failure == Failure::kEntityLimit);
  CHECK_EQUAL(test.reserved(), 1U);
  CHECK_EQUAL(test.words().refusedFull, 2U);
  test.relay.cancel(entityHolder);
  test.checkQuiet();
}

void servesInOrder() {
  Limited test(1);
  test.replica.play(okForever());
  std::vector<Client*> clients;
  std::string order;
  for (int i = 0; i < 6; i++) {
    Client& client = test.relay.start({.body = std::to_string(i)});
    client.onOver = [&order, i] { order += std::to_string(i); };
    clients.push_back(&client);
  }
  CHECK_EQUAL(test.waiting(), 5U);
  for (Client* client : clients) {
    test.relay.finish(*client);
    CHECK_EQUAL(client->ends, 1U);
    CHECK(test.reserved() <= 1);
  }
  CHECK_EQUAL(order, "012345");
  // One at a time needs one connection.
  CHECK_EQUAL(test.replica.connectionCount(), 1U);
  test.checkQuiet();
}

void boundsTheWait() {
  Limited test(1, 2);
  test.replica.play({waitRequest(), stall()});
  Client& holder = test.hold();
  Client& late = test.relay.start({.body = "{}"});
  Client& later = test.relay.start({.body = "{}"});
  CHECK(test.relay.fetch({.body = "{}"}).failure == Failure::kDeploymentQueueFull);
  test.relay.loop.advance(kQueueMs - kTickMs);
  CHECK(!late.isOver());
  test.relay.loop.advance(3 * kTickMs);
  CHECK(late.failure == Failure::kDeploymentQueueTimeout);
  CHECK(later.failure == Failure::kDeploymentQueueTimeout);
  CHECK_EQUAL(statusOf(late.failure), 429);
  CHECK_EQUAL(test.words().refusedFull, 1U);
  CHECK_EQUAL(test.words().refusedDeadline, 2U);
  CHECK(!holder.isOver());
  test.relay.cancel(holder);
  test.checkQuiet();
}

// The whole has its limit of time too, and that one is the replica's fault to the client.
void totalTimeRunsOn() {
  Limited test(1);
  test.replica.play({waitRequest(), stall()});
  Client& holder = test.hold();
  test.relay.spec->totalMs = kQueueMs / 2;
  Client& waits = test.relay.start({.body = "{}"});
  test.relay.loop.advance(kQueueMs / 2 + 3 * kTickMs);
  CHECK(waits.failure == Failure::kTotalTimeout);
  CHECK_EQUAL(test.words().refusedDeadline, 0U);
  test.relay.cancel(holder);
  test.checkQuiet();
}

// The time in the queue is no time of the replica's.
void otherTimesBeginWithTheDispatch() {
  Limited test(1);
  test.relay.spec->responseHeaderMs = kQueueMs;
  test.replica.play({waitRequest(), stall()});
  test.replica.play({waitRequest(), stall()});
  Client& holder = test.hold();
  Client& next = test.relay.start({.body = "{}"});
  test.relay.loop.advance(kQueueMs - 2 * kTickMs);
  test.relay.cancel(holder);
  CHECK(test.relay.loop.runUntil([&test] { return test.replica.requestCount() == 2; }));
  test.relay.loop.advance(kQueueMs - 2 * kTickMs);
  CHECK(!next.isOver());
  test.relay.loop.advance(4 * kTickMs);
  CHECK(next.failure == Failure::kResponseHeaderTimeout);
  test.checkQuiet();
}

void bodiesWait() {
  Limited test(1);
  test.replica.play({waitRequest(), stall()});
  test.replica.play({waitRequest(), send(kOk)});
  Client& holder = test.hold();
  const std::string piece(100'000, 'b');
  Client& client = test.relay.start({.body = piece, .contentLength = 400'000, .last = false});
  CHECK(test.relay.sendBody(client, piece, false) > kRequestBufferBytesMax);
  test.relay.loop.advance(5 * kTickMs);
  CHECK_EQUAL(client.drains, 0U);
  CHECK_EQUAL(test.replica.requestCount(), 1U);
  test.relay.cancel(holder);
  CHECK(test.relay.loop.runUntil([&client] { return client.drains > 0; }));
  test.relay.sendBody(client, piece, false);
  test.relay.sendBody(client, piece, true);
  test.relay.finish(client);
  CHECK_EQUAL(client.ends, 1U);
  CHECK_EQUAL(test.replica.requestCount(), 2U);
  test.checkQuiet();
}

// A client that leaves, and a body that is not what was said, while the request waits.
void leavesWhileItWaits() {
  Limited test(1);
  test.replica.play({waitRequest(), stall()});
  Client& holder = test.hold();
  Client& gone = test.relay.start({.body = "{}"});
  Client& liar = test.relay.start({.body = "{", .contentLength = 2, .last = false});
  Client& both = test.relay.start({.body = "{", .contentLength = 2, .last = false});
  test.relay.cancel(gone);
  test.relay.sendBody(liar, "}}}", true);
  test.relay.finish(liar);
  CHECK(liar.failure == Failure::kBadRequest);
  CHECK_EQUAL(test.waiting(), 1U);
  // In one turn the body is found to be wrong and the place becomes free.
  test.relay.cancel(holder);
  test.relay.sendBody(both, "}}}", true);
  test.relay.finish(both);
  CHECK(both.failure == Failure::kBadRequest);
  CHECK_EQUAL(test.replica.requestCount(), 1U);
  test.checkQuiet();
}

// Attempts that fail and go on elsewhere hold one place, and give it back when all have failed.
void retriesHoldOnePlace() {
  Limited test(1);
  const RefusingPort refusing;
  test.relay.setTargets({targetOf(refusing), targetOf(test.replica)});
  test.replica.play(okForever());
  for (int i = 0; i < 20; i++) {
    Client& first = test.relay.start({.body = "{}"});
    Client& second = test.relay.start({.body = "{}"});
    CHECK_EQUAL(test.reserved(), 1U);
    test.relay.finish(first);
    test.relay.finish(second);
    CHECK_EQUAL(first.ends + second.ends, 2U);
  }
  test.relay.setTargets({targetOf(refusing)});
  Client& first = test.relay.start({.body = "{}"});
  Client& second = test.relay.start({.body = "{}"});
  test.relay.finish(first);
  test.relay.finish(second);
  CHECK_EQUAL(first.failures + second.failures, 2U);
  test.relay.setTargets({});
  CHECK(test.relay.fetch({.body = "{}"}).failure == Failure::kNoReadyAddress);
  test.checkQuiet();
}

// Whatever socket call fails and when, places come back and whoever waits is served or told.
void faultsGiveBackThePlace() {
  for (const char* call : {"socket", "connect", "sendmsg", "recv"}) {
    for (uint32_t nth = 1; nth <= 8; nth++) {
      setFault(call, nth, ECONNRESET);
      Limited test(2);
      test.replica.play({waitRequest(), send(kOk), waitRequest(), finish()});
      test.replica.play(okForever());
      std::vector<Client*> clients;
      for (int i = 0; i < 8; i++) clients.push_back(&test.relay.start({.body = "{}"}));
      for (Client* client : clients) {
        test.relay.finish(*client);
        CHECK_EQUAL(client->ends + client->failures, 1U);
      }
      clearFaults();
      test.checkQuiet();
    }
  }
}

void diesWithItsQueue() {
  Limited test(1);
  test.replica.play({waitRequest(), stall()});
  test.hold();
  Column& column = *test.relay.column;
  for (int i = 0; i < 3; i++) test.relay.start({.body = "{}"});
  CHECK_EQUAL(test.waiting(), 3U);
  test.relay.destroyEngine();
  CHECK_EQUAL(column.limits[kDeploymentSlot].reserved.load(), 0U);
  CHECK_EQUAL(column.limits[kDeploymentSlot].waiting.load(), 0U);
  CHECK_EQUAL(column.header.waiters.load(), 0U);
}

}  // namespace

int main() {
  refusesWithoutAQueue();
  servesInOrder();
  boundsTheWait();
  totalTimeRunsOn();
  otherTimesBeginWithTheDispatch();
  bodiesWait();
  leavesWhileItWaits();
  retriesHoldOnePlace();
  faultsGiveBackThePlace();
  diesWithItsQueue();
  return finishChecks();
}
