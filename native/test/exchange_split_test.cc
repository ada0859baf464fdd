// Hostile answers in two pieces, cut at every position, on a fresh and on a reused connection.
//
// Where a packet ends decides nothing: a client gets the same answer, or none, at every cut, and
// the request behind it gets its own answer on a connection of its own.
#include <string>

#include "test/check.h"
#include "test/net/relay.h"

namespace {

using namespace pointsman;
using namespace pointsman::test;

// What the client may see. A broken answer is told as 502 before its head was relayed, and never
// ends cleanly.
enum class Outcome : uint8_t { kRefused, kAnswered, kBroken };

struct Answer {
  std::string name;
  std::string bytes;
  Outcome outcome;
  std::string body = "";
  int status = 200;
  std::string method = "POST";
};

std::string ok(std::string_view fields, std::string_view body = "") {
  return std::string("HTTP/1.1 200 OK\r\n").append(fields).append("\r\n").append(body);
}

std::string chunked(std::string_view body) {
  return ok("Transfer-Encoding: chunked\r\n", body);
}

std::vector<Answer> refusedAnswers() {
  const std::string interim = "HTTP/1.1 103 x\r\n\r\n";
  std::string tooManyInterim;
  for (uint32_t i = 0; i <= kInterimResponsesMax; i++) tooManyInterim += interim;
  std::vector<Answer> answers;
  const std::pair<const char*, std::string> refused[] = {
      {"101 unasked", "HTTP/1.1 101 x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\nraw"},
      {"too many 1xx", tooManyInterim + ok("Content-Length: 0\r\n")},
      {"1xx and no more", interim},
      {"length and coding", ok("Content-Length: 3\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n")},
      {"coding and length", ok("Transfer-Encoding: chunked\r\nContent-Length: 3\r\n", "0\r\n\r\n")},
      {"two equal lengths", ok("Content-Length: 2\r\nContent-Length: 2\r\n", "ok")},
      {"two lengths", ok("Content-Length: 2\r\ncontent-length: 3\r\n", "ok!")},
      {"list of lengths", ok("Content-Length: 2, 2\r\n", "ok")},
      {"signed length", ok("Content-Length: +2\r\n", "ok")},
      {"negative length", ok("Content-Length: -2\r\n", "ok")},
      {"empty length", ok("Content-Length:\r\n", "ok")},
      {"huge length", ok("Content-Length: 18446744073709551618\r\n", "ok")},
      {"unknown coding", ok("Transfer-Encoding: gzip, chunked\r\n", "0\r\n\r\n")},
      {"chunked twice", ok("Transfer-Encoding: chunked, chunked\r\n", "0\r\n\r\n")},
      {"coding identity", ok("Transfer-Encoding: identity\r\n", "ok")},
      {"coding in 1.0", "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"},
      {"folded field", ok("A: b\r\n c\r\nContent-Length: 0\r\n")},
      {"space before colon", ok("Content-Length : 2\r\n", "ok")},
      {"space before field", ok(" A: b\r\nContent-Length: 0\r\n")},
      {"no colon", ok("A\r\nContent-Length: 0\r\n")},
      {"empty name", ok(": b\r\nContent-Length: 0\r\n")},
      {"bare LF", "HTTP/1.1 200 OK\nContent-Length: 0\n\n"},
      {"bare CR", ok("A: b\rc\r\nContent-Length: 0\r\n")},
      {"NUL", ok(std::string("A: b\0c\r\nContent-Length: 0\r\n", 28))},
      {"HTTP/2", "HTTP/2.0 200 OK\r\nContent-Length: 0\r\n\r\n"},
      {"status 99", "HTTP/1.1 099 x\r\nContent-Length: 0\r\n\r\n"},
      {"status 600", "HTTP/1.1 600 x\r\nContent-Length: 0\r\n\r\n"},
      {"a request", "GET / HTTP/1.1\r\nHost: a\r\n\r\n"},
      {"an empty line first", "\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"},
      {"broken off in the head", "HTTP/1.1 200 OK\r\nContent-Le"},
  };
  for (const auto& [name, bytes] : refused) answers.push_back({name, bytes, Outcome::kRefused});
  return answers;
}

std::vector<Answer> brokenAnswers() {
  std::vector<Answer> answers;
  const std::pair<const char*, std::string> broken[] = {
      {"short", ok("Content-Length: 9\r\n", "ok")},
      {"chunk short", chunked("5\r\nok")},
      {"no last chunk", chunked("2\r\nok\r\n")},
      {"no end of trailers", chunked("2\r\nok\r\n0\r\n")},
      {"chunk without its end", chunked("2\r\nokX\r\n0\r\n\r\n")},
      {"chunk ended by LF", chunked("2\r\nok\n0\r\n\r\n")},
      {"chunk size g", chunked("2\r\nok\r\ng\r\n\r\n")},
      {"chunk size empty", chunked("2\r\nok\r\n\r\n0\r\n\r\n")},
      {"chunk size signed", chunked("2\r\nok\r\n+1\r\nx\r\n0\r\n\r\n")},
      {"chunk size 0x", chunked("2\r\nok\r\n0x1\r\nx\r\n0\r\n\r\n")},
      {"chunk size too large", chunked("2\r\nok\r\nfffffffffffffffff\r\nx\r\n0\r\n\r\n")},
      {"bad trailer", chunked("2\r\nok\r\n0\r\nA : b\r\n\r\n")},
  };
  for (const auto& [name, bytes] : broken) {
    answers.push_back({name, bytes, Outcome::kBroken, "ok"});
  }
  return answers;
}

std::vector<Answer> goodAnswers() {
  const std::string two = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nother";
  const Outcome good = Outcome::kAnswered;
  return {
      {"length", ok("Content-Length: 2\r\n", "ok"), good, "ok"},
      {"chunked", chunked("1;a=\"b\"\r\no\r\n1\r\nk\r\n0\r\nX-T: u\r\n\r\n"), good, "ok"},
      {"until close", ok("", "ok"), good, "ok"},
      {"1.0 until close", "HTTP/1.0 200 OK\r\n\r\nok", good, "ok"},
      {"1.0 with a length", "HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok", good, "ok"},
      {"1xx",
       "HTTP/1.1 100 x\r\n\r\nHTTP/1.1 103 x\r\nLink: a\r\n\r\n" + ok("Content-Length: 0\r\n"),
       good},
      {"1xx with a length", "HTTP/1.1 103 x\r\nContent-Length: 9\r\n\r\n" + ok("", "ok"), good,
       "ok"},
      {"bytes behind a length", ok("Content-Length: 2\r\n", "okNO"), good, "ok"},
      {"bytes behind nothing", ok("Content-Length: 0\r\n", "NO"), good},
      {"bytes behind the last chunk", chunked("2\r\nok\r\n0\r\n\r\nNO"), good, "ok"},
      {"two answers", ok("Content-Length: 2\r\n", "ok") + two, good, "ok"},
      {"204 with a body", "HTTP/1.1 204 x\r\nContent-Length: 2\r\n\r\nNO", good, "", 204},
      {"204 chunked", "HTTP/1.1 204 x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", good, "",
       204},
      {"304 with a body", "HTTP/1.1 304 x\r\nContent-Length: 2\r\n\r\nNO", good, "", 304, "GET"},
      {"HEAD with a body", ok("Content-Length: 2\r\n", "NO"), good, "", 200, "HEAD"},
      {"HEAD chunked", chunked("2\r\nNO\r\n0\r\n\r\n"), good, "", 200, "HEAD"},
  };
}

void checkOutcome(const Answer& answer, const Client& client) {
  switch (answer.outcome) {
    case Outcome::kAnswered:
      CHECK_EQUAL(client.ends, 1U);
      CHECK_EQUAL(client.status, answer.status);
      CHECK_EQUAL(client.body, answer.body);
      return;
    case Outcome::kRefused:
      CHECK_EQUAL(client.failures, 1U);
      CHECK_EQUAL(client.heads, 0U);
      CHECK_EQUAL(statusOf(client.failure), 502);
      return;
    case Outcome::kBroken:
      CHECK_EQUAL(client.ends, 0U);
      CHECK_EQUAL(client.failures, 1U);
      CHECK(answer.body.starts_with(client.body));
      CHECK(client.failure == (client.headRelayed ? Failure::kTruncated : Failure::kBadAnswer));
      return;
  }
}

// One relay for all cuts of an answer; its replica closes behind each.
void cutsEverywhere(const Answer& answer, bool isReused) {
  Relay relay;
  FakeReplica replica(relay.loop);
  relay.setTargets({targetOf(replica)});
  const std::string_view bytes = answer.bytes;
  for (size_t cut = 1; cut < bytes.size(); cut++) {
    const uint64_t failures = failureCount;
    ReplicaScript script;
    if (isReused) script = {waitRequest(), send(kOk)};
    for (const ReplicaStep& step : {waitRequest(), send(bytes.substr(0, cut)), nextPacket(),
                                    send(bytes.substr(cut)), finish()}) {
      script.push_back(step);
    }
    replica.play(script);
    if (isReused) CHECK_EQUAL(relay.fetch().body, "ok");
    const size_t connections = replica.connectionCount();
    Client& client = relay.start({.method = answer.method, .body = "{}"});
    relay.finish(client);
    checkOutcome(answer, client);
    // The head alone in the first packet: that the cut is one is seen by the head's being relayed.
    if (answer.outcome == Outcome::kBroken && cut == bytes.find("\r\n\r\n") + 4) {
      CHECK(client.headRelayed);
    }
    CHECK_EQUAL(replica.connectionCount(), isReused ? connections : connections + 1);
    // Bytes behind the end may come after it; then too the connection is of no more use.
    CHECK(relay.loop.runUntil([&] { return relay.pool().openCount() == 0; }));
    if (failureCount > failures) {
      std::cerr << "in " << answer.name << (isReused ? " reused" : " fresh") << " at " << cut
                << '\n';
      return;
    }
  }
  replica.play(okForever());
  CHECK_EQUAL(relay.fetch().body, "ok");
  relay.checkQuiet();
}

}  // namespace

int main() {
  for (const auto& group : {refusedAnswers(), brokenAnswers(), goodAnswers()}) {
    for (const Answer& answer : group) {
      for (const bool isReused : {false, true}) cutsEverywhere(answer, isReused);
    }
  }
  return finishChecks();
}
