// The front and a token that is revoked while the request's body is on its way.
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

}  // namespace

int main() {
  testHostEndsTheFront();
  testTokenIsJudgedAtDispatch();
  return finishChecks();
}
