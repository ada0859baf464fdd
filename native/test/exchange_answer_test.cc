// What the door gets: heads, framings, bodies in every cut, the door's pauses.
#include <unistd.h>

#include <string>

#include "test/check.h"
#include "test/net/relay.h"

namespace {

using namespace pointsman;
using namespace pointsman::test;

struct Answer {
  std::string_view name;
  std::string_view bytes;
  // After the bytes; Stall keeps the connection.
  ReplicaStep after = stall();
  std::string_view method = "POST";
  // What is expected: status 0 means `failure`.
  int status = 200;
  std::string_view body = "";
  int64_t contentLength = -1;
  bool bodyAllowed = true;
  bool isReused = false;
  Failure failure = Failure::kNone;
};

const std::vector<Answer>& answers() {
  static const std::vector<Answer> kAnswers = {
      {.name = "content-length",
       .bytes = "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello",
       .body = "hello",
       .contentLength = 5,
       .isReused = true},
      {.name = "chunked",
       .bytes = "HTTP/1.1 200 OK\r\ntransfer-encoding: "
                "chunked\r\n\r\n3;x=y\r\nhel\r\n2\r\nlo\r\n0\r\nt: u\r\n\r\n",
       .body = "hello",
       .isReused = true},
      {.name = "until close",
       .bytes = "HTTP/1.1 200 OK\r\n\r\nhello",
       .after = finish(),
       .body = "hello"},
      {.name = "HTTP/1.0 until close",
       .bytes = "HTTP/1.0 200 OK\r\n\r\nhello",
       .after = closeBoth(),
       .body = "hello"},
      {.name = "HTTP/1.0 keep-alive",
       .bytes = "HTTP/1.0 200 OK\r\nconnection: keep-alive\r\ncontent-length: 0\r\n\r\n",
       .contentLength = 0,
       .isReused = true},
      {.name = "connection close",
       .bytes = "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 5\r\n\r\nhello",
       .body = "hello",
       .contentLength = 5},
      {.name = "HEAD",
       .bytes = "HTTP/1.1 200 OK\r\ncontent-length: 500\r\n\r\n",
       .method = "HEAD",
       .contentLength = 500,
       .bodyAllowed = false,
       .isReused = true},
      {.name = "HEAD chunked",
       .bytes = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n",
       .method = "HEAD",
       .bodyAllowed = false},
      {.name = "HEAD with a body",
       .bytes = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nno",
       .method = "HEAD",
       .contentLength = 2,
       .bodyAllowed = false},
      {.name = "204",
       .bytes = "HTTP/1.1 204 No Content\r\n\r\n",
       .status = 204,
       .bodyAllowed = false,
       .isReused = true},
      {.name = "204 with a length",
       .bytes = "HTTP/1.1 204 No Content\r\ncontent-length: 5\r\n\r\n",
       .status = 204,
       .bodyAllowed = false},
      {.name = "304",
       .bytes = "HTTP/1.1 304 Not Modified\r\ncontent-length: 77\r\n\r\n",
       .method = "GET",
       .status = 304,
       .contentLength = 77,
       .bodyAllowed = false,
       .isReused = true},
      {.name = "interim answers",
       .bytes = "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early\r\nlink: x\r\n\r\n"
                "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok",
       .body = "ok",
       .contentLength = 2,
       .isReused = true},
      {.name = "extra bytes",
       .bytes = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nokHTTP/1.1 200 OK\r\n\r\n",
       .body = "ok",
       .contentLength = 2},
      {.name = "short length",
       .bytes = "HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\nhello",
       .after = finish(),
       .contentLength = 6,
       .failure = Failure::kTruncated},
      {.name = "short chunk",
       .bytes = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n6\r\nhello",
       .after = finish(),
       .failure = Failure::kTruncated},
      {.name = "no last chunk",
       .bytes = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n",
       .after = closeBoth(),
       .failure = Failure::kTruncated},
      {.name = "reset in a body until close",
       .bytes = "HTTP/1.1 200 OK\r\n\r\nhello",
       .after = reset(),
       .failure = Failure::kTruncated},
      {.name = "closed in the head",
       .bytes = "HTTP/1.1 200 OK\r\ncontent-le",
       .after = finish(),
       .status = 0,
       .failure = Failure::kBadAnswer},
      {.name = "closed after an interim answer",
       .bytes = "HTTP/1.1 100 Continue\r\n\r\n",
       .after = finish(),
       .status = 0,
       .failure = Failure::kBadAnswer},
      {.name = "closed at once",
       .bytes = "",
       .after = finish(),
       .status = 0,
       .failure = Failure::kClosedBeforeAnswer},
      {.name = "no HTTP", .bytes = "SSH-2.0\r\n", .status = 0, .failure = Failure::kBadAnswer},
  };
  return kAnswers;
}

void checkAnswer(const Answer& expected, const Client& client, bool isWhole) {
  // A fault that comes with the head in one read ends the exchange before anything was relayed.
  const bool hasHead = client.heads == 1;
  CHECK_EQUAL(client.ends, expected.failure == Failure::kNone ? 1U : 0U);
  CHECK_EQUAL(static_cast<int>(client.failure), static_cast<int>(expected.failure));
  CHECK_EQUAL(hasHead, expected.status != 0);
  if (expected.status == 0) return;
  CHECK_EQUAL(client.status, expected.status);
  CHECK_EQUAL(client.contentLength, expected.contentLength);
  CHECK_EQUAL(client.bodyAllowed, expected.bodyAllowed);
  if (expected.failure == Failure::kNone) CHECK_EQUAL(client.body, expected.body);
  if (isWhole && expected.after.kind == ReplicaStep::Kind::kStall) CHECK_EQUAL(client.events, 1U);
}

void relaysAnswers() {
  for (const Answer& answer : answers()) {
    for (const size_t pieceBytes : {0U, 1U, 5U}) {
      const uint64_t failures = failureCount;
      Relay relay;
      FakeReplica replica(relay.loop);
      relay.setTargets({targetOf(replica)});
      // POST is not replayed and has no other address, so that what fails is seen.
      replica.play({waitRequest(), send(answer.bytes, pieceBytes), answer.after});
      const Client& client = relay.fetch({.method = std::string(answer.method)});
      checkAnswer(answer, client, pieceBytes == 0);
      relay.checkQuiet();
      const size_t kept = answer.isReused ? 1 : 0;
      if (pieceBytes == 0) CHECK_EQUAL(relay.pool().idleCount(), kept);
      // In pieces, bytes behind the end come to an idle connection.
      CHECK(relay.loop.runUntil([&] { return relay.pool().openCount() == kept; }));
      CHECK_EQUAL(replica.connectionCount(), 1U);
      if (failureCount > failures) std::cerr << "in " << answer.name << ' ' << pieceBytes << '\n';
    }
  }
}

void forwardsFields() {
  Relay relay;
  FakeReplica replica(relay.loop);
  relay.setTargets({targetOf(replica)});
  replica.play(
      {waitRequest(),
       send(
           "HTTP/1.1 418 Teapot\r\nContent-Type: a/b\r\nConnection: keep-alive, x-hop\r\nX-Hop: "
           "1\r\n"
           "Keep-Alive: timeout=5\r\nServer: s\r\nServed-Model-Name: evil\r\nX-Request-Id: evil\r\n"
           "x-pointsman-revision: 9\r\nSet-Cookie: a\r\nSet-Cookie: b\r\ncontent-length: 0\r\n\r\n",
           1)});
  const Client& client = relay.fetch();
  CHECK_EQUAL(client.status, 418);
  CHECK_EQUAL(client.fields,
              "Content-Type: a/b\r\nServer: s\r\nSet-Cookie: a\r\nSet-Cookie: b\r\n");
  CHECK_EQUAL(relay.stats.answers(3), 1U);
}

// A replica that says how long it keeps a connection is believed, as far as it is less than ours.
void honoursKeepAlive() {
  struct Hint {
    std::string_view field;
    uint64_t keptMs;
  };
  for (const Hint& hint : {Hint{"timeout=5", 4'000}, Hint{"timeout=3, max=9", 2'000},
                           Hint{"timeout=1", 500}, Hint{"timeout=0", 0}, Hint{"max=1", 4'000}}) {
    Relay relay;
    FakeReplica replica(relay.loop);
    relay.setTargets({targetOf(replica)});
    replica.play({waitRequest(), send(std::string("HTTP/1.1 200 OK\r\nkeep-alive: ")
                                          .append(hint.field)
                                          .append("\r\ncontent-length: 0\r\n\r\n"))});
    CHECK_EQUAL(relay.fetch().ends, 1U);
    if (hint.keptMs > 0) relay.loop.advance(hint.keptMs - kTickMs);
    CHECK_EQUAL(relay.pool().idleCount(), hint.keptMs > 0 ? 1U : 0U);
    relay.loop.advance(3 * kTickMs);
    CHECK_EQUAL(relay.pool().openCount(), 0U);
    CHECK(relay.loop.runUntil([&] { return replica.last().isPeerGone(); }));
  }
}

// 64 MiB through: every byte, and no event larger than the read buffer.
void relaysLargeBodies() {
  std::string body(64 * 1024 * 1024, '\0');
  uint32_t value = 1;
  for (char& c : body) {
    value = value * 1'664'525 + 1'013'904'223;
    c = static_cast<char>(value >> 24);
  }
  Relay relay;
  FakeReplica replica(relay.loop);
  relay.setTargets({targetOf(replica)});
  replica.play({waitRequest(), send("HTTP/1.1 200 OK\r\ncontent-length: 67108864\r\n\r\n" + body)});
  const Client& client = relay.fetch();
  CHECK(client.body == body);
  CHECK(client.eventBytesMax <= kReadBufferBytes);
  relay.checkQuiet();
}

// Nothing is read while the door is paused: the replica is blocked by the kernel's buffers.
void blocksReplicaWhilePaused() {
  constexpr size_t kBodyBytes = 32 * 1024 * 1024;
  Relay relay;
  FakeReplica replica(relay.loop);
  relay.setTargets({targetOf(replica)});
  replica.play({waitRequest(), send("HTTP/1.1 200 OK\r\ncontent-length: 33554432\r\n\r\n" +
                                    std::string(kBodyBytes, 'b'))});
  Client& client = relay.start();
  bool isPaused = false;
  client.onAnswer = [&](const AnswerEvent&) {
    if (isPaused) return;
    isPaused = true;
    client.exchange->pauseAnswer();
  };
  CHECK(relay.loop.runUntil([&] { return isPaused; }));
  const uint32_t events = client.events;
  relay.loop.settle();
  CHECK_EQUAL(client.events, events);
  CHECK(client.body.size() <= kReadBufferBytes);
  CHECK(replica.last().sentBytes() < kBodyBytes / 2);
  // The client is slow, not the replica.
  relay.loop.advance(10ULL * relay.spec->bodyIdleMs);
  CHECK(!client.isOver());
  client.exchange->pauseAnswer();
  client.exchange->resumeAnswer();
  client.exchange->resumeAnswer();
  relay.finish(client);
  CHECK_EQUAL(client.body.size(), kBodyBytes);
  relay.checkQuiet();
  CHECK_EQUAL(relay.pool().idleCount(), 1U);
}

// Paused at every event and resumed from outside; also before there is a connection, and before the
// head.
void pausesAnywhere() {
  for (const size_t pieceBytes : {1U, 11U}) {
    Relay relay;
    FakeReplica replica(relay.loop);
    relay.setTargets({targetOf(replica)});
    replica.play({waitRequest(), send("HTTP/1.1 200 OK\r\ntransfer-encoding: "
                                      "chunked\r\n\r\n5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n",
                                      pieceBytes)});
    Client& client = relay.start();
    client.exchange->pauseAnswer();
    CHECK(relay.loop.runUntil([&] { return replica.requestCount() == 1; }));
    relay.loop.advance(2ULL * relay.spec->responseHeaderMs);
    CHECK_EQUAL(client.events, 0U);
    CHECK(!client.isOver());
    bool isPaused = true;
    client.onAnswer = [&](const AnswerEvent& event) {
      CHECK(!isPaused);
      if (event.end) return;
      client.exchange->pauseAnswer();
      isPaused = true;
    };
    CHECK(relay.loop.runUntil([&] {
      if (isPaused) {
        isPaused = false;
        client.exchange->resumeAnswer();
      }
      return client.isOver();
    }));
    CHECK_EQUAL(client.body, "hello world");
    relay.checkQuiet();
    CHECK_EQUAL(relay.pool().idleCount(), 1U);
  }
}

// Requests one after the other, each started from inside the end of the one before, over one
// connection.
void reusesFromCallbacks() {
  Relay relay;
  FakeReplica replica(relay.loop);
  relay.setTargets({targetOf(replica)});
  replica.play(okForever());
  int left = 50;
  Client* last = nullptr;
  std::function<void()> next = [&] {
    if (left-- == 0) return;
    Client& client = relay.start({.body = "x"});
    last = &client;
    client.onOver = next;
  };
  next();
  CHECK(relay.loop.runUntil([&] { return left < 0; }));
  CHECK(last != nullptr && last->ends == 1);
  CHECK_EQUAL(replica.connectionCount(), 1U);
  CHECK_EQUAL(replica.requestCount(), 50U);
  CHECK_EQUAL(relay.address(0).stats().requests, 50U);
  CHECK_EQUAL(relay.address(0).stats().connects, 1U);
  relay.checkQuiet();
}

// Bytes that come behind an answer, after it was read and before the next request leaves in the
// same turn.
void keepsStrayBytesFromNextRequest() {
  Relay relay;
  FakeReplica replica(relay.loop);
  relay.setTargets({targetOf(replica)});
  replica.play({waitRequest(), send(kOk)});
  replica.play(okForever());
  Client& first = relay.start();
  Client* second = nullptr;
  first.onOver = [&] {
    replica.connection(0).appendNow({send("HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nstray")});
    second = &relay.start();
  };
  CHECK(relay.loop.runUntil([&] { return second != nullptr && second->isOver(); }));
  CHECK_EQUAL(second->body, "ok");
  CHECK_EQUAL(replica.connectionCount(), 2U);
  relay.checkQuiet();
}

void relaysOverUnixSocket() {
  Relay relay;
  const std::string path = "/tmp/pointsman-exchange-test-" + std::to_string(getpid()) + ".sock";
  FakeReplica replica(relay.loop, path);
  replica.play(okForever());
  relay.setTargets({targetOf(replica)});
  CHECK_EQUAL(relay.fetch().body, "ok");
  CHECK_EQUAL(relay.fetch().body, "ok");
  CHECK_EQUAL(replica.connectionCount(), 1U);
  relay.checkQuiet();
}

}  // namespace

int main() {
  relaysAnswers();
  forwardsFields();
  honoursKeepAlive();
  relaysLargeBodies();
  blocksReplicaWhilePaused();
  pausesAnywhere();
  reusesFromCallbacks();
  keepsStrayBytesFromNextRequest();
  relaysOverUnixSocket();
  return finishChecks();
}
