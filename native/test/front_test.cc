// The front: what clients see, whatever the order, the cut and the timing of their messages.
#include <algorithm>
#include <functional>

#include "test/check.h"
#include "test/net/front_kit.h"

namespace {

using namespace pointsman;        // NOLINT: the code under test
using namespace pointsman::test;  // NOLINT: its kit

constexpr std::string_view kChunked = "Transfer-Encoding: chunked\r\n";
constexpr std::string_view kChunks = "2\r\n{\"\r\n3;x=y\r\na\":\r\n3\r\n 1}\r\n0\r\nX: t\r\n\r\n";

std::string get(std::string_view path) {
  return "GET " + std::string(path) + " HTTP/1.1\r\nHost: front.test\r\n\r\n";
}

bool has(const std::string& text, std::string_view part) {
  return text.find(part) != std::string::npos;
}

void testOneRequest() {
  FrontKit kit;
  const auto answers = kit.ask(post("a", "{}", "x-request-id: mine\r\nX-Pointsman-Client: 6\r\n"));
  CHECK_EQUAL(answers.size(), 1U);
  CHECK_EQUAL(answers[0].status, 200);
  CHECK_EQUAL(answers[0].body, "ok");
  CHECK(has(answers[0].fields, "served-model-name: entity-a\r\n"));
  CHECK(has(answers[0].fields, "x-pointsman-revision: 1\r\n"));
  CHECK(has(answers[0].fields, "x-request-id: mine\r\n"));
  CHECK(has(answers[0].fields, "date: "));
  const std::string& got = kit.a.connection(0).received();
  CHECK(got.starts_with("POST /invocations HTTP/1.1\r\nhost: replica.test\r\n"));
  CHECK(!has(got, "Authorization") && !has(got, "Pointsman-Client"));
  CHECK_EQUAL(kit.column->entities[0].nativeClasses[1], 1U);
  kit.checkQuiet();
}

void testLocalRequest() {
  FrontKit kit;
  const auto answers = kit.ask(
      "GET http://other.test/api?q=1 HTTP/1.1\r\nHost: front.test\r\nAuthorization: Bearer x\r\n"
      "Connection: authorization, x-a\r\nX-A: 1\r\nX-Pointsman-Client: 6.6.6.6\r\n\r\n");
  CHECK_EQUAL(answers[0].body, "ok");
  const std::string& got = kit.local.connection(0).received();
  CHECK(got.starts_with("GET /api?q=1 HTTP/1.1\r\n"));
  CHECK(has(got, "host: other.test\r\n"));
  CHECK(has(got, "Authorization: Bearer x\r\n"));
  CHECK(has(got, "x-pointsman-client: 0.0.0.0\r\n"));
  CHECK(!has(got, "X-A") && !has(got, "6.6.6.6"));
  kit.checkQuiet();
}

void testGuardedMode() {
  FrontKit kit(false);
  const auto answers = kit.ask(post("a", "{}"));
  CHECK_EQUAL(answers[0].body, "ok");
  CHECK_EQUAL(kit.a.requestCount(), 0U);
  CHECK(kit.local.connection(0).received().starts_with(
      "POST /serving-endpoints/a/invocations HTTP/1.1\r\n"));
  // The token is checked before the JS door sees the request.
  CHECK_EQUAL(kit.ask(post("a", "{}", "Authorization: Bearer bad\r\n"))[0].status, 401);
  CHECK_EQUAL(kit.local.requestCount(), 1U);
  kit.checkQuiet();
}

// Each with the status that answers it; all of them leave the connection open.
struct Message {
  std::string bytes;
  int status;
};

std::vector<Message> messages() {
  return {
      {post("a", "{\"a\": 1}"), 200},
      {post("a", kChunks, kChunked), 200},
      {get("/healthz"), 200},
      {"HEAD /healthz HTTP/1.1\r\nHost: front.test\r\n\r\n", 200},
      {post("a", "{}", "Authorization: Bearer bad\r\n"), 401},
      {post("a", "{}", "Authorization: Bearer good \r\n"), 200},
      {post("missing", std::string(2'000, 'x')), 404},
      {post("none", "{}"), 503},
      {"\r\nOPTIONS * HTTP/1.1\r\nHost: front.test\r\n\r\n", 200},
      {"GET /serving-endpoints/a/invocations HTTP/1.1\r\nHost: front.test\r\nAuthorization: Bearer "
       "good\r\n\r\n",
       405},
      {"POST /serving-endpoints/a/invocations HTTP/1.0\r\nConnection: keep-alive\r\nAuthorization: "
       "Bearer good\r\nContent-Length: 2\r\n\r\n{}",
       200},
  };
}

// HEAD answers have a length and no body, which a reader of the bytes alone cannot know.
bool isHead(const Message& message) {
  return message.bytes.starts_with("HEAD");
}

void checkInOrder(FrontKit& kit, const std::vector<const Message*>& order) {
  const auto client = kit.client();
  std::string all;
  for (const Message* message : order) all += message->bytes;
  client->send(all);
  client->readAnswers(order.size());
  std::string_view rest;
  const auto answers = splitAnswers(client->received, rest);
  if (!CHECK_EQUAL(answers.size(), order.size())) return;
  for (size_t i = 0; i < order.size(); i++) CHECK_EQUAL(answers[i].status, order[i]->status);
  CHECK(rest.empty());
}

void testEveryOrderOfThree() {
  const std::vector<Message> all = messages();
  for (const Message& first : all) {
    FrontKit kit;
    for (const Message& second : all) {
      for (const Message& third : all) {
        if (isHead(first) || isHead(second) || isHead(third)) continue;
        checkInOrder(kit, {&first, &second, &third});
      }
    }
    kit.checkQuiet();
  }
}

void testEveryCut() {
  for (const Message& message : messages()) {
    if (isHead(message)) continue;
    FrontKit kit;
    const std::string bytes = message.bytes + post("a", "{}");
    for (size_t cut = 1; cut<bytes.size(); cut += bytes.size()> 1'000 ? 7 : 1) {
      const auto client = kit.client();
      client->send(bytes.substr(0, cut));
      kit.loop.settle();
      client->send(bytes.substr(cut));
      client->readAnswers(2);
      std::string_view rest;
      const auto answers = splitAnswers(client->received, rest);
      if (!CHECK_EQUAL(answers.size(), 2U)) continue;
      CHECK_EQUAL(answers[0].status, message.status);
      CHECK_EQUAL(answers[1].status, 200);
    }
    kit.checkQuiet();
  }
}

void testHead() {
  FrontKit kit;
  const auto client = kit.client();
  client->send("HEAD /healthz HTTP/1.1\r\nHost: a\r\n\r\n" + post("missing", ""));
  CHECK(kit.loop.runUntil([&] {
    client->read();
    return has(client->received, " 404 ");
  }));
  const size_t headEnd = client->received.find("\r\n\r\n");
  CHECK(client->received.substr(headEnd + 4).starts_with("HTTP/1.1 404 "));
  CHECK(has(client->received.substr(0, headEnd), "content-length: 2"));
}

void testMalformedIsRefusedAndClosed() {
  FrontKit kit;
  const std::string smuggled = post("a", "SMUGGLED");
  const std::vector<std::string> hostile = {
      "GET / HTTP/1.1\r\n\r\n" + smuggled,
      "POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: "
      "chunked\r\n\r\n0\r\n\r\n" +
          smuggled,
      "GET / HTTP/1.1\r\nHost: a\r\n: y\r\n\r\n" + smuggled,
      post("a", "zz\r\n" + smuggled, kChunked),
      post("a", "2\r\n{}XX0\r\n\r\n" + smuggled, kChunked),
      "GARBAGE\r\n\r\n" + smuggled,
  };
  for (const std::string& bytes : hostile) {
    const auto client = kit.client();
    client->send(bytes);
    client->readToEnd();
    std::string_view rest;
    const auto answers = splitAnswers(client->received, rest);
    CHECK(answers.size() == 1 && answers[0].status == 400);
    CHECK(rest.empty());
    CHECK(answers.size() == 1 && has(answers[0].fields, "connection: close\r\n"));
  }
  kit.loop.advance(kLingerMs + 100);
  CHECK_EQUAL(kit.clientsClosed, hostile.size());
  for (size_t i = 0; i < kit.a.connectionCount(); i++) {
    CHECK(!has(kit.a.connection(i).received(), "SMUGGLED"));
  }
  kit.checkQuiet();
}

void testTokensAreAskedForOnce() {
  FrontKit kit;
  kit.verdict = FrontKit::Verdict::kLater;
  const auto client = kit.client();
  client->send(post("a", "{}") + post("a", "{}"));
  CHECK(kit.loop.runUntil([&] { return kit.tokensAsked == 1; }));
  kit.loop.settle();
  CHECK_EQUAL(kit.a.requestCount(), 0U);
  kit.judgeAll();
  client->readAnswers(2);
  CHECK_EQUAL(kit.tokensAsked, 1U);
  // Nobody answers: the client is told so, and a late verdict is for nobody.
  const auto second = kit.client();
  second->send(post("a", "{}", "Authorization: Bearer slow\r\n"));
  CHECK(kit.loop.runUntil([&] { return kit.tokensAsked == 2; }));
  kit.loop.advance(kVerdictMs + 100);
  second->readToEnd();
  CHECK(second->received.starts_with("HTTP/1.1 503 "));
  kit.judgeAll();
  // A change of permissions raises the epoch: everybody is asked for again.
  kit.control.authEpoch.store(1);
  kit.verdict = FrontKit::Verdict::kAtOnce;
  CHECK_EQUAL(kit.ask(post("a", "{}"))[0].status, 200);
  CHECK_EQUAL(kit.tokensAsked, 3U);
  kit.loop.advance(kLingerMs + 100);
  kit.checkQuiet();
}

void testPermission() {
  FrontKit kit;
  const auto statusWith = [&kit](TokenTerms terms, std::string_view path) {
    kit.tokens.insert(kGoodToken, 0, 0, makeRef<TokenGrant>(std::move(terms)));
    return kit.ask(post(path, "{}"))[0].status;
  };
  CHECK_EQUAL(statusWith({.holders = {4, 7}}, "guarded"), 200);
  CHECK_EQUAL(statusWith({.holders = {4, 8}}, "guarded"), 403);
  CHECK_EQUAL(statusWith({.everything = true}, "guarded"), 200);
  CHECK_EQUAL(statusWith({.limited = true, .holders = {7}, .endpoints = {"id-g"}}, "guarded"), 200);
  CHECK_EQUAL(statusWith({.limited = true, .holders = {7}, .endpoints = {"guarded"}}, "guarded"),
              403);
  CHECK_EQUAL(statusWith({.everything = true, .limited = true, .endpoints = {"id-g"}}, "a"), 403);
  // Whoever may not look does not learn what is there, but a name that is not there is told.
  CHECK_EQUAL(statusWith({.holders = {4}}, "nobody"), 404);
  // By its own URL: the token has to name it, whatever else it may.
  const auto byRoute = [&kit](TokenTerms terms, const std::string& target, const char* host) {
    kit.tokens.insert(kGoodToken, 0, 0, makeRef<TokenGrant>(std::move(terms)));
    return kit
        .ask("POST " + target + " HTTP/1.1\r\nHost: " + host +
             "\r\nAuthorization: " + std::string(kGoodToken) + "\r\nContent-Length: 2\r\n\r\n{}")[0]
        .status;
  };
  const std::string own = "/1/serving-endpoints/guarded/invocations";
  const std::string plain = "/serving-endpoints/guarded/invocations";
  const TokenTerms named{.limited = true, .holders = {7}, .endpoints = {"id-g"}};
  CHECK_EQUAL(byRoute({.everything = true}, own, "front.test"), 403);
  CHECK_EQUAL(byRoute(named, own, "front.test"), 200);
  CHECK_EQUAL(byRoute({.everything = true}, plain, "id-g.serving.test"), 403);
  CHECK_EQUAL(byRoute(named, plain, "id-g.Serving.TEST:8080"), 200);
  CHECK_EQUAL(byRoute(named, plain, "other.serving.test"), 404);
  kit.checkQuiet();
}

void testClientLeavesWhileItWaits() {
  FrontKit kit;
  kit.verdict = FrontKit::Verdict::kLater;
  auto client = kit.client();
  client->send(post("a", "{}"));
  CHECK(kit.loop.runUntil([&] { return kit.tokensAsked == 1; }));
  client.reset();
  CHECK(kit.loop.runUntil([&] { return kit.clientsClosed == 1; }));
  // The same object serves somebody else now: the verdict is not for him.
  const auto other = kit.client();
  other->send(post("a", "{}"));
  CHECK(kit.loop.runUntil([&] { return kit.tokensAsked == 2; }));
  kit.front->admit(kit.waiting[0].connection, kit.waiting[0].generation);
  kit.loop.settle();
  CHECK_EQUAL(kit.a.requestCount(), 0U);
  kit.judgeAll();
  other->readAnswers(1);
  CHECK_EQUAL(kit.a.requestCount(), 1U);
}

void testClientLeavesUnderWay() {
  FrontKit kit;
  kit.tokens.insert(kGoodToken, 0, 0, {});
  kit.big.play(
      {waitRequest(), send("HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf"), stall()});
  for (const bool hasAnswerBegun : {false, true}) {
    auto client = kit.client();
    const size_t before = kit.big.connectionCount();
    client->send(post("big", hasAnswerBegun ? "{}" : std::string(), kChunked) +
                 (hasAnswerBegun ? "" : "2\r\n{}\r\n"));
    if (hasAnswerBegun) client->send("");
    CHECK(kit.loop.runUntil([&] { return kit.big.connectionCount() > before; }) || hasAnswerBegun);
    client.reset();
    kit.loop.settle();
  }
  CHECK(kit.loop.runUntil([&] { return kit.clientsClosed == 2; }));
  CHECK(kit.loop.runUntil([&] { return kit.big.last().isPeerGone(); }));
  kit.checkQuiet();
}

void testTimers() {
  FrontKit kit;
  kit.tokens.insert(kGoodToken, 0, 0, {});
  const auto slowHead = kit.client();
  slowHead->send("POST /serving");
  kit.loop.settle();
  kit.loop.advance(kHeadMs - 100);
  slowHead->send("-endpoints");
  kit.loop.settle();
  CHECK(slowHead->read());
  kit.loop.advance(200);
  slowHead->readToEnd();
  CHECK(slowHead->received.starts_with("HTTP/1.1 408 "));

  const auto slowBody = kit.client();
  slowBody->send(
      "POST /serving-endpoints/a/invocations HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer "
      "good\r\nContent-Length: 100\r\n\r\n12345");
  kit.loop.settle();
  kit.loop.advance(kBodyWindowMs + 100);
  slowBody->readToEnd();
  CHECK(slowBody->received.starts_with("HTTP/1.1 408 "));

  const auto idle = kit.client();
  idle->send(post("a", "{}"));
  idle->readAnswers(1);
  kit.loop.advance(kClientIdleMs - 1'000);
  CHECK(idle->read());
  kit.loop.advance(2'000);
  idle->readToEnd();

  // The linger after a refusal is bounded too.
  kit.loop.advance(kLingerMs + 100);
  CHECK_EQUAL(kit.clientsClosed, 3U);
  kit.checkQuiet();
}

void testStalledReader() {
  FrontKit kit;
  kit.tokens.insert(kGoodToken, 0, 0, {});
  const size_t size = 8'000'000;
  std::string body(size, ' ');
  for (size_t i = 0; i < size; i++) body[i] = static_cast<char>('a' + i % 23);
  const std::string answer =
      "HTTP/1.1 200 OK\r\ncontent-length: " + std::to_string(size) + "\r\n\r\n" + body;
  kit.big.play({waitRequest(), send(answer), waitRequest(), send(kOk)});
  const auto slow = kit.client();
  slow->send(post("big", "{}") + get("/healthz") + post("big", "{}"));
  kit.loop.settle();
  // Nothing was read: the replica is not read either, beyond what buffers hold.
  CHECK(kit.big.connection(0).sentBytes() < size - 1'000'000);
  for (int reads = 0; reads < 1'000 && slow->received.size() < size / 2; reads++) {
    slow->read(100'000);
    kit.loop.settle();
  }
  slow->readAnswers(3);
  std::string_view rest;
  const auto answers = splitAnswers(slow->received, rest);
  CHECK(answers.size() == 3 && answers[0].body == body);
  CHECK(answers.size() == 3 && answers[2].body == "ok");

  const auto stalled = kit.client();
  kit.big.last().append({waitRequest(), send(answer), stall()});
  stalled->send(post("big", "{}"));
  kit.loop.settle();
  kit.loop.advance(kWriteStallMs + 200);
  stalled->readToEnd();
  CHECK(stalled->received.size() < size);
  CHECK(kit.loop.runUntil([&] { return kit.big.connection(0).isPeerGone(); }));
  kit.checkQuiet();
}

void testBodies() {
  FrontKit kit;
  kit.tokens.insert(kGoodToken, 0, 0, {});
  // Too large, as announced and as it comes; small ones are read and dropped, large ones close.
  const auto announced = kit.client();
  announced->send(
      "POST /serving-endpoints/a/invocations HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer "
      "good\r\nContent-Length: 1000001\r\n\r\n");
  announced->readToEnd();
  CHECK(announced->received.starts_with("HTTP/1.1 413 "));
  const auto chunked = kit.client();
  const std::string chunk = "10000\r\n" + std::string(65'536, 'x') + "\r\n";
  std::string all = post("a", "", kChunked);
  for (int i = 0; i < 20; i++) all += chunk;
  chunked->send(all);
  chunked->readToEnd();
  CHECK(chunked->received.starts_with("HTTP/1.1 413 "));
  // Expect: told to go on only when the head is good.
  const auto expecting = kit.client();
  const std::string head = post("a", "{}", "Expect: 100-Continue\r\n");
  expecting->send(head.substr(0, head.size() - 2));
  CHECK(kit.loop.runUntil([&] {
    expecting->read();
    return expecting->received == "HTTP/1.1 100 Continue\r\n\r\n";
  }));
  expecting->received.clear();
  expecting->send("{}");
  expecting->readAnswers(1);
  CHECK(expecting->received.starts_with("HTTP/1.1 200 "));
  const auto refused = kit.client();
  const std::string bad = post("a", "{}", "Expect: 100-continue\r\nAuthorization: Bearer bad\r\n");
  refused->send(bad.substr(0, bad.size() - 2));
  refused->readToEnd();
  CHECK(refused->received.starts_with("HTTP/1.1 401 "));
  // A large body streams through.
  const auto large = kit.client();
  large->send(post("a", std::string(900'000, 'y')));
  large->readAnswers(1);
  CHECK(large->received.starts_with("HTTP/1.1 200 "));
  kit.loop.advance(kLingerMs + 100);
  kit.checkQuiet();
}

void testEarlyAnswer() {
  FrontKit kit;
  kit.tokens.insert(kGoodToken, 0, 0, {});
  kit.big.play({waitBytes(10),
                send("HTTP/1.1 429 Slow\r\nretry-after: 1\r\ncontent-length: 4\r\n\r\nslow"),
                stall()});
  const auto client = kit.client();
  client->send(
      "POST /serving-endpoints/big/invocations HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer "
      "good\r\nContent-Length: 100000\r\n\r\npart");
  client->readToEnd();
  CHECK(client->received.starts_with("HTTP/1.1 429 Too Many Requests\r\n"));
  CHECK(has(client->received, "connection: close\r\n"));
  CHECK(client->received.ends_with("slow"));
  kit.loop.advance(kLingerMs + 100);
  kit.checkQuiet();
}

void testOldClient() {
  FrontKit kit;
  kit.tokens.insert(kGoodToken, 0, 0, {});
  kit.big.play(
      {waitRequest(), send("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n")});
  const auto client = kit.client();
  client->send(
      "POST /serving-endpoints/big/invocations HTTP/1.0\r\nConnection: "
      "keep-alive\r\nAuthorization: Bearer good\r\nContent-Length: 2\r\n\r\n{}");
  CHECK(kit.loop.runUntil([&] {
    client->read();
    return client->received.ends_with("hello");
  }));
  kit.big.last().append({send("0\r\n\r\n")});
  client->readToEnd();
  CHECK(client->received.ends_with("hello"));
  CHECK(!has(client->received, "chunked"));
  CHECK(has(client->received, "connection: close\r\n"));
}

void testBrokenOffAnswers() {
  FrontKit kit;
  kit.tokens.insert(kGoodToken, 0, 0, {});
  for (const std::string_view head :
       {"content-length: 100\r\n\r\nhalf", "transfer-encoding: chunked\r\n\r\n4\r\nhalf\r\n"}) {
    kit.big.play({waitRequest(), send("HTTP/1.1 200 OK\r\n"), send(head), reset()});
    const auto client = kit.client();
    client->send(post("big", "{}"));
    client->readToEnd();
    std::string_view rest;
    CHECK(splitAnswers(client->received, rest).empty());
  }
  kit.big.play({waitRequest(), finish()});
  const auto client = kit.client();
  client->send(post("big", "{}") + post("a", "{}"));
  client->readAnswers(2);
  std::string_view rest;
  const auto answers = splitAnswers(client->received, rest);
  CHECK(answers.size() == 2 && answers[0].status == 502 && answers[1].status == 200);
  kit.checkQuiet();
}

void testDrainAndHandover() {
  FrontKit kit;
  kit.tokens.insert(kGoodToken, 0, 0, {});
  const auto client = kit.client();
  client->send(post("a", "{}"));
  client->readAnswers(1);
  kit.front->drain();
  client->send(post("a", "{}"));
  client->readToEnd();
  CHECK(has(client->received, "connection: close\r\n"));
  kit.engine->startNothing();
  CHECK_EQUAL(kit.ask(post("a", "{}"))[0].status, 503);
  CHECK_EQUAL(kit.ask(get("/healthz"))[0].status, 200);
}

// Heads that came before the sockets were handed over: one waits for its body, one for a verdict.
void testHandoverInTheMiddle() {
  FrontKit kit;
  kit.verdict = FrontKit::Verdict::kLater;
  const auto parked = kit.client();
  parked->send(post("a", "{}"));
  kit.loop.settle();
  kit.rememberGoodToken();
  const std::string whole = post("a", "{}");
  const auto slow = kit.client();
  slow->send(whole.substr(0, whole.size() - 2));
  kit.loop.settle();
  kit.engine->startNothing();
  slow->send(whole.substr(whole.size() - 2));
  kit.judgeAll();
  for (FrontClient* client : {parked.get(), slow.get()}) {
    client->readAnswers(1);
    CHECK(has(client->received, "HTTP/1.1 503 "));
  }
  CHECK_EQUAL(kit.a.requestCount(), 0U);
}

void testEndInTheMiddle() {
  for (const bool hasToken : {false, true}) {
    auto kit = std::make_unique<FrontKit>();
    kit->verdict = FrontKit::Verdict::kLater;
    if (hasToken) kit->tokens.insert(kGoodToken, 0, 0, {});
    kit->big.play(
        {waitRequest(), send("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf"), stall()});
    const auto client = kit->client();
    client->send(post("big", "{}") + post("a", "{}"));
    kit->loop.settle();
    kit->front.reset();
    CHECK_EQUAL(kit->clientsClosed, 1U);
    kit->engine.reset();
    kit->loop.settle();
  }
}

}  // namespace

int main() {
  const size_t descriptors = openDescriptors();
  testOneRequest();
  testLocalRequest();
  testGuardedMode();
  testEveryOrderOfThree();
  testEveryCut();
  testHead();
  testMalformedIsRefusedAndClosed();
  testTokensAreAskedForOnce();
  testPermission();
  testClientLeavesWhileItWaits();
  testClientLeavesUnderWay();
  testTimers();
  testStalledReader();
  testBodies();
  testEarlyAnswer();
  testOldClient();
  testBrokenOffAnswers();
  testDrainAndHandover();
  testHandoverInTheMiddle();
  testEndInTheMiddle();
  CHECK_EQUAL(openDescriptors(), descriptors);
  return finishChecks();
}
