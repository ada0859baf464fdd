// The front and a token that is revoked while the request's body is on its way, or while it waits
// under a limit.
#include "test/check.h"
#include "test/net/front_kit.h"

namespace {

using namespace pointsman;        // NOLINT: the code under test
using namespace pointsman::test;  // NOLINT: its kit

constexpr std::string_view kChunked = "Transfer-Encoding: chunked\r\n";

bool has(const std::string& text, std::string_view part) {
  return text.find(part) != std::string::npos;
}

void testTokenIsJudgedAtDispatch() {
  const std::string head = "POST /serving-endpoints/a/invocations HTTP/1.1\r\nHost: front.test\r\n";
  const auto started = [&head](FrontKit& kit, const char* framing) {
    auto client = kit.client();
    client->send(head + "Authorization: " + std::string(kGoodToken) + "\r\n" + framing + "\r\n");
    CHECK(kit.loop.runUntil([&] { return kit.tokensAsked == 1; }));
    kit.loop.settle();
    kit.verdict = FrontKit::Verdict::kLater;
    kit.control.authEpoch.store(1);
    return client;
  };
  const std::string length = "Content-Length: 4\r\n";
  {
    // Revoked between head and body: nothing of it gets to a replica.
    FrontKit kit;
    const auto client = started(kit, length.c_str());
    client->send("{ ");
    CHECK(kit.loop.runUntil([&] { return kit.tokensAsked == 2; }));
    client->send(" }");
    kit.loop.settle();
    CHECK_EQUAL(kit.a.requestCount(), 0U);
    kit.front->reject(kit.waiting[0].connection, kit.waiting[0].generation,
                      Refusal::kUnauthenticated);
    client->readAnswers(1);
    CHECK(client->received.starts_with("HTTP/1.1 401 "));
    CHECK_EQUAL(kit.a.connectionCount(), 0U);
    kit.checkQuiet();
  }
  for (const std::string& framing : {length, std::string(kChunked)}) {
    // Something else has changed: the request goes on with every byte, and so does its connection.
    FrontKit kit;
    const bool isChunked = framing != length;
    const auto client = started(kit, framing.c_str());
    client->send(isChunked ? "2\r\n{ \r\n" : "{ ");
    CHECK(kit.loop.runUntil([&] { return kit.tokensAsked == 2; }));
    client->send(isChunked ? "2\r\n }\r\n0\r\n\r\n" : " }");
    client->send(post("a", "{}"));
    kit.loop.settle();
    kit.judgeAll();
    client->readAnswers(2);
    CHECK_EQUAL(kit.tokensAsked, 2U);
    CHECK_EQUAL(kit.a.requestCount(), 2U);
    CHECK(has(kit.a.connection(0).received(), isChunked ? "2\r\n{ \r\n" : "{  }"));
    kit.checkQuiet();
  }
  {
    // Once dispatched it runs to its end.
    FrontKit kit;
    const auto client = kit.client();
    client->send(head + "Authorization: " + std::string(kGoodToken) + "\r\n" + length + "\r\n{ ");
    CHECK(kit.loop.runUntil([&] { return kit.a.connectionCount() == 1; }));
    kit.verdict = FrontKit::Verdict::kLater;
    kit.control.authEpoch.store(1);
    client->send(" }");
    client->readAnswers(1);
    CHECK(client->received.starts_with("HTTP/1.1 200 "));
    kit.checkQuiet();
  }
}

// The first that asks ends the front: nobody is asked for the others, and their connections close.
void testHostEndsTheFront() {
  FrontKit kit;
  kit.verdict = FrontKit::Verdict::kEnd;
  std::vector<std::unique_ptr<FrontClient>> clients;
  for (int i = 0; i < 3; i++) {
    clients.push_back(kit.client());
    clients.back()->send(post("a", "{}"));
  }
  for (const auto& client : clients) {
    client->readToEnd();
    CHECK(client->received.empty());
  }
  CHECK_EQUAL(kit.tokensAsked, 1U);
  CHECK_EQUAL(kit.a.requestCount(), 0U);
}

// One request at the replica, and another one that waits for its place.
struct Waiting {
  Waiting() {
    spec->limit = {.gate = kit.engine->admission().gate(3), .maxInFlight = 1};
    spec->queueMax = 8;
    spec->queueMs = 60'000;
    spec->totalMs = 30'000;
    kit.big.play({waitRequest(), stall()});
    holder->send(post("big", "{}"));
    CHECK(kit.loop.runUntil([this] { return kit.big.requestCount() == 1; }));
    waiter->send(post("big", "{}"));
    CHECK(kit.loop.runUntil([this] { return words().waiting.load() == 1; }));
    kit.verdict = FrontKit::Verdict::kLater;
  }
  LimitWords& words() { return kit.column->limits[3]; }
  void endHolder() {
    holder->leave();
    CHECK(kit.loop.runUntil([this] { return words().waiting.load() == 0; }));
    kit.loop.settle();
  }
  void checkQuiet() {
    waiter->leave();
    kit.checkQuiet();
    CHECK_EQUAL(words().reserved.load(), 0U);
  }

  FrontKit kit;
  DeploymentSpec* spec = kit.engine->snapshot()->find("big")->pick(0).deployment.get();
  std::unique_ptr<FrontClient> holder = kit.client();
  std::unique_ptr<FrontClient> waiter = kit.client();
};

void testTokenIsJudgedAgainBehindAQueue() {
  {
    // Nothing has changed: nobody is asked.
    Waiting all;
    all.endHolder();
    CHECK(all.kit.loop.runUntil([&] { return all.kit.big.requestCount() == 2; }));
    CHECK_EQUAL(all.kit.tokensAsked, 1U);
    all.checkQuiet();
  }
  {
    // Revoked: no replica sees it, and its place is the next one's.
    Waiting all;
    all.kit.control.authEpoch.store(1);
    all.endHolder();
    CHECK_EQUAL(all.kit.tokensAsked, 2U);
    CHECK_EQUAL(all.kit.big.requestCount(), 1U);
    CHECK_EQUAL(all.words().reserved.load(), 1U);
    const auto [connection, generation, isGood, verified] = all.kit.waiting.at(0);
    all.kit.front->reject(connection, generation, Refusal::kTokenInvalid);
    all.waiter->readAnswers(1);
    CHECK(all.waiter->received.starts_with("HTTP/1.1 401 "));
    CHECK_EQUAL(all.words().reserved.load(), 0U);
    all.kit.rememberGoodToken();
    all.waiter->send(post("big", "{}"));
    CHECK(all.kit.loop.runUntil([&] { return all.kit.big.requestCount() == 2; }));
    all.checkQuiet();
  }
  {
    // Another one was revoked: it goes on, and what came behind it meanwhile too.
    Waiting all;
    all.kit.control.authEpoch.store(1);
    all.endHolder();
    all.waiter->send(post("a", "{}"));
    all.kit.loop.settle();
    all.kit.big.play(okForever());
    all.kit.judgeAll();
    all.waiter->readAnswers(2);
    CHECK_EQUAL(all.kit.big.requestCount(), 2U);
    CHECK_EQUAL(all.kit.a.requestCount(), 1U);
    CHECK_EQUAL(all.kit.tokensAsked, 2U);
    all.checkQuiet();
  }
  {
    // Another process has taken over, and nobody would hear here what that one has revoked.
    Waiting all;
    all.kit.engine->startNothing();
    all.endHolder();
    all.waiter->readAnswers(1);
    CHECK(all.waiter->received.starts_with("HTTP/1.1 503 "));
    CHECK_EQUAL(all.kit.tokensAsked, 1U);
    CHECK_EQUAL(all.kit.big.requestCount(), 1U);
    all.checkQuiet();
  }
  {
    // The same while the verdict is waited for.
    Waiting all;
    all.kit.control.authEpoch.store(1);
    all.endHolder();
    all.kit.engine->startNothing();
    all.kit.judgeAll();
    all.waiter->readAnswers(1);
    CHECK(all.waiter->received.starts_with("HTTP/1.1 503 "));
    CHECK_EQUAL(all.kit.big.requestCount(), 1U);
    all.checkQuiet();
  }
  {
    // No verdict in time.
    Waiting all;
    all.kit.control.authEpoch.store(1);
    all.endHolder();
    all.kit.loop.advance(kVerdictMs + 100);
    all.waiter->readAnswers(1);
    CHECK(all.waiter->received.starts_with("HTTP/1.1 503 "));
    CHECK_EQUAL(all.kit.big.requestCount(), 1U);
    all.checkQuiet();
  }
}

}  // namespace

int main() {
  testHostEndsTheFront();
  testTokenIsJudgedAtDispatch();
  testTokenIsJudgedAgainBehindAQueue();
  return finishChecks();
}
