// Every allocation that the engine makes for a request fails once, at every place where it is made,
// and then all from that place on. Whatever happens: one end or one failure per exchange, 503 as
// long as an answer can be given, nothing lost and nothing cut short on its way, and the next
// request is served by the same engine.
#include <cerrno>
#include <string>
#include <vector>

#include "test/check.h"
#include "test/failing_new.h"
#include "test/net/faults.h"
#include "test/net/relay.h"
#include "test/net/seen.h"

namespace {

using namespace pointsman;        // NOLINT: the code under test
using namespace pointsman::test;  // NOLINT: its kit

// Turns of the loop that brought nothing before the clock is moved: what was lost ends by a limit.
constexpr int kIdleTurnsMax = 20;
constexpr int kTurnsMax = 4'000;

// Two replicas and a port that refuses, on an engine that has served nothing yet. Only calls of the
// code under test are made with faults on.
class Scene {
 public:
  Scene() {
    relay.spec->queueMs = 60'000;
    after.play(okForever());
  }

  Client& start(const Request& request = {}) {
    const FaultsResumed on;
    Client& client = relay.start(request);
    return client;
  }

  void sendBody(Client& client, std::string_view body, bool last) {
    if (client.isOver()) return;
    const FaultsResumed on;
    relay.sendBody(client, body, last);
  }

  bool turn() {
    const FaultsResumed on;
    return relay.loop.turn(0);
  }

  // Until the exchange is over. `otherwise` is how it may fail for want of another attempt.
  void finish(Client& client, Failure otherwise = Failure::kOutOfMemory) {
    int idle = 0;
    for (int turns = 0; turns < kTurnsMax && !client.isOver(); turns++) {
      idle = turn() ? 0 : idle + 1;
      if (idle <= kIdleTurnsMax) continue;
      const FaultsResumed on;
      relay.loop.advance(kTickMs);
    }
    CHECK_EQUAL(client.ends + client.failures, 1U);
    requests++;
    if (client.ends == 1) {
      answers.push_back(client.fields + '\n' + client.body);
      return;
    }
    failures++;
    CHECK(client.failure == Failure::kOutOfMemory || client.failure == otherwise);
    if (!client.headRelayed && client.failure == Failure::kOutOfMemory) {
      CHECK_EQUAL(statusOf(client.failure), 503);
    }
  }

  void fetch(const Request& request = {}, Failure otherwise = Failure::kOutOfMemory) {
    finish(start(request), otherwise);
  }

  Relay relay;
  FakeReplica one{relay.loop};
  FakeReplica two{relay.loop};
  RefusingPort refusing;
  // For what comes when memory is there again.
  FakeReplica after{relay.loop};
  uint32_t requests = 0;
  uint32_t failures = 0;
  std::vector<std::string> answers{};
};

std::string manyFields(size_t count) {
  std::string fields;
  for (size_t i = 0; i < count; i++)
    fields += "x-" + std::to_string(i) + ": " + std::to_string(i) + "\r\n";
  return fields;
}

const std::string& okWithFields() {
  static const std::string kAnswer =
      "HTTP/1.1 200 OK\r\n" + manyFields(40) + "content-length: 2\r\n\r\nok";
  return kAnswer;
}

void servesPlainRequests(Scene& scene) {
  scene.one.play({waitRequest(), send(okWithFields()), waitRequest(), send(kOk)});
  scene.relay.setTargets({targetOf(scene.one)});
  scene.relay.spec->headerLines = "authorization: Bearer secret\r\n";
  scene.fetch({.method = "GET", .query = "a=b", .fields = manyFields(30)});
  scene.fetch({.body = "{}"});
}

void readsAnswersInPieces(Scene& scene) {
  const std::string head = "HTTP/1.1 200 OK\r\nx-long: " + std::string(5'000, 'l') + "\r\n" +
                           manyFields(20) + "transfer-encoding: chunked\r\n\r\n";
  std::string chunks;
  for (int i = 0; i < 20; i++) chunks += "4e20\r\n" + std::string(20'000, 'c') + "\r\n";
  scene.one.play({waitRequest(), send("HTTP/1.1 100 Continue\r\n\r\n" + head, 1'500),
                  send(chunks + "0\r\n\r\n", 30'000), waitRequest(), send(kOk, 7)});
  scene.relay.setTargets({targetOf(scene.one)});
  scene.fetch();
  scene.fetch();
}

void sendsLargeBodies(Scene& scene) {
  scene.one.play({readSlowly(60'000), waitRequest(), send(kOk), waitRequest(), send(kOk)});
  scene.relay.setTargets({targetOf(scene.one)});
  const std::string piece(50'000, 'b');
  for (const int64_t length : {int64_t{300'000}, int64_t{-1}}) {
    Client& client = scene.start({.contentLength = length, .last = false});
    for (int i = 0; i < 6; i++) {
      scene.turn();
      scene.sendBody(client, piece, i == 5);
    }
    scene.finish(client);
  }
}

// To another address where one refuses; once more on a fresh connection where the kept one closed.
void triesAgain(Scene& scene) {
  scene.relay.spec->replaySafe = true;
  for (FakeReplica* replica : {&scene.one, &scene.two}) {
    replica->play({waitRequest(), send(kOk), waitRequest(), finish()});
    replica->play(okForever());
  }
  scene.relay.setTargets({targetOf(scene.refusing), targetOf(scene.one), targetOf(scene.two)});
  for (int i = 0; i < 6; i++) {
    scene.fetch({.method = "POST", .body = "{}"}, Failure::kConnectFailed);
  }
}

// Those whose requests fail are left out of the choice: a new table of those that stay in it.
void leavesAddressesOut(Scene& scene) {
  for (int i = 0; i < 20; i++)
    scene.one.play({waitRequest(), send("HTTP/1.1 500 E\r\ncontent-length: 0\r\n\r\n"), finish()});
  scene.two.play(okForever());
  scene.relay.setTargets({targetOf(scene.one), targetOf(scene.two), targetOf(scene.refusing)});
  for (int i = 0; i < 20; i++) scene.fetch({.body = "{}"}, Failure::kConnectFailed);
}

void waitsForItsPlace(Scene& scene) {
  scene.relay.spec->limit = {.gate = scene.relay.engine->admission().gate(3), .maxInFlight = 1};
  scene.relay.entityLimit = {.gate = scene.relay.engine->admission().gate(5), .maxInFlight = 2};
  scene.relay.spec->queueMax = 8;
  scene.one.play(okForever());
  scene.relay.setTargets({targetOf(scene.one)});
  std::vector<Client*> clients;
  for (int i = 0; i < 5; i++) clients.push_back(&scene.start({.body = "{}"}));
  for (Client* client : clients) scene.finish(*client);
}

void servesManyAtOnce(Scene& scene) {
  for (FakeReplica* replica : {&scene.one, &scene.two}) replica->play(okForever());
  scene.relay.setTargets({targetOf(scene.one), targetOf(scene.two)});
  std::vector<Client*> clients;
  for (int i = 0; i < 20; i++) clients.push_back(&scene.start({.body = std::string(100, 'm')}));
  for (Client* client : clients) scene.finish(*client);
}

struct Script {
  const char* name;
  void (*run)(Scene&);
};

constexpr Script kScripts[] = {
    {"plain requests", servesPlainRequests},   {"answers in pieces", readsAnswersInPieces},
    {"large bodies", sendsLargeBodies},        {"other attempts", triesAgain},
    {"ejected addresses", leavesAddressesOut}, {"a queue", waitsForItsPlace},
    {"many at once", servesManyAtOnce},
};

// Answers how many allocations the script makes for its requests, failed ones among them. `nth` 0:
// none fails.
uint32_t failsAt(const Script& script, Seen& seen, uint32_t nth, bool isLasting) {
  const size_t descriptors = openDescriptors();
  const uint64_t reported = failureCount;
  uint32_t allocations = 0;
  {
    Scene scene;
    setFault("allocation", nth, ENOMEM, isLasting);
    script.run(scene);
    allocations = faultCalls();
    clearFaults();
    // One that fails concerns one request.
    CHECK(isLasting || scene.failures <= 1);
    for (const std::string& answer : scene.answers) seen.note(answer);
    for (FakeReplica* replica : {&scene.one, &scene.two}) seen.noteRequestsOf(*replica);
    uint64_t counted = 0;
    for (size_t i = 0; i < 5; ++i) counted += scene.relay.stats.answers(i);
    CHECK(counted == scene.requests || scene.failures > 0);

    scene.relay.checkQuiet();
    scene.relay.setTargets({targetOf(scene.after)});
    for (int i = 0; i < 4; i++) CHECK_EQUAL(scene.relay.fetch({.body = "{}"}).status, 200);
    scene.relay.checkQuiet();
    CHECK_EQUAL(scene.relay.column->limits[3].waiting.load(), 0U);
    CHECK_EQUAL(scene.relay.column->limits[3].reserved.load(), 0U);
    CHECK_EQUAL(scene.relay.column->limits[5].reserved.load(), 0U);
  }
  CHECK_EQUAL(openDescriptors(), descriptors);
  CHECK_EQUAL(infallibleAllocations, 0U);
  if (failureCount > reported) {
    std::cerr << "in " << script.name << ", allocation " << nth << (isLasting ? " and on\n" : "\n");
  }
  return allocations;
}

}  // namespace

int main() {
  const FaultsSuspended own;
  for (const Script& script : kScripts) {
    Seen seen;
    const uint32_t allocations = failsAt(script, seen, 0, false);
    seen.startChecking();
    std::cout << script.name << ": " << allocations << " allocations\n";
    CHECK(allocations > 3);
    for (const bool isLasting : {false, true}) {
      uint32_t nth = 1;
      while (failsAt(script, seen, nth, isLasting) >= nth) nth++;
      CHECK(nth > allocations);
    }
  }
  return finishChecks();
}
