// What the replica gets: head, framing, bodies in pieces and under back-pressure.
#include <string>

#include "test/check.h"
#include "test/net/relay.h"

namespace {

using namespace pointsman;
using namespace pointsman::test;

constexpr std::string_view kOwnFields =
    "via: 1.1 pointsman\r\n"
    "x-forwarded-for: 192.0.2.7\r\n"
    "x-forwarded-proto: http\r\n"
    "x-request-id: id-1\r\n";

struct OneReplica {
  OneReplica() : replica(relay.loop) {
    relay.setTargets({targetOf(replica)});
    replica.play(okForever());
  }
  // The whole request as the replica got it.
  std::string requestFor(const Request& request) {
    const Client& client = relay.fetch(request);
    CHECK_EQUAL(client.ends, 1U);
    CHECK_EQUAL(client.body, "ok");
    const std::vector<std::string> requests = replica.last().requests();
    CHECK_EQUAL(replica.last().received().size(), [&requests] {
      size_t bytes = 0;
      for (const std::string& one : requests) bytes += one.size();
      return bytes;
    }());
    return requests.empty() ? std::string() : requests.back();
  }

  Relay relay;
  FakeReplica replica;
};

std::string own() {
  return std::string(kOwnFields);
}

void writesHeads() {
  OneReplica test;
  CHECK_EQUAL(test.requestFor({.query = "a=1&b=%20", .body = "{}"}),
              "POST /v1?a=1&b=%20 HTTP/1.1\r\nhost: replica.test:8000\r\n" + own() +
                  "content-length: 2\r\n\r\n{}");
  CHECK_EQUAL(test.requestFor({}), "POST /v1 HTTP/1.1\r\nhost: replica.test:8000\r\n" + own() +
                                       "content-length: 0\r\n\r\n");
  CHECK_EQUAL(
      test.requestFor({.method = "PUT"}),
      "PUT /v1 HTTP/1.1\r\nhost: replica.test:8000\r\n" + own() + "content-length: 0\r\n\r\n");
  CHECK_EQUAL(test.requestFor({.method = "GET"}),
              "GET /v1 HTTP/1.1\r\nhost: replica.test:8000\r\n" + own() + "\r\n");
  CHECK_EQUAL(test.requestFor({.body = "abc", .contentLength = -1}),
              "POST /v1 HTTP/1.1\r\nhost: replica.test:8000\r\n" + own() +
                  "transfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n");
  CHECK_EQUAL(test.requestFor({.contentLength = -1}),
              "POST /v1 HTTP/1.1\r\nhost: replica.test:8000\r\n" + own() +
                  "transfer-encoding: chunked\r\n\r\n0\r\n\r\n");
  test.relay.checkQuiet();
}

// An mlflow deployment has its own target and no query.
void writesMlflowTarget() {
  Relay relay;
  FakeReplica replica(relay.loop);
  replica.play(okForever());
  relay.spec->protocol = Protocol::kMlflow;
  relay.spec->addresses = makeRef<AddressSet>(Protocol::kMlflow);
  relay.setTargets({targetOf(replica)});
  relay.fetch({.query = "x=1", .body = "1"});
  CHECK(replica.last().received().starts_with("POST /v1/invocations HTTP/1.1\r\nhost: "));
}

void forwardsFields() {
  OneReplica test;
  test.relay.spec->headerLines = "Authorization: Bearer ours\r\nX-Tenant: right\r\n";
  const std::string request =
      test.requestFor({.fields = "Host: evil\r\n"
                                 "content-type: application/json\r\n"
                                 "Connection: close, X-Hop, authorization, via, x-request-id\r\n"
                                 "X-Hop: gone\r\n"
                                 "Keep-Alive: timeout=5\r\n"
                                 "TE: trailers\r\n"
                                 "Upgrade: h2c\r\n"
                                 "Transfer-Encoding: chunked\r\n"
                                 "Content-Length: 99\r\n"
                                 "Expect: 100-continue\r\n"
                                 "Authorization: Bearer theirs\r\n"
                                 "Cookie: a=b\r\n"
                                 "x-request-id: theirs\r\n"
                                 "X-Forwarded-For: 1.2.3.4\r\n"
                                 "x-tenant: wrong\r\n"
                                 "X-TENANT: wrong again\r\n"
                                 "x-tenant-name: stays\r\n"
                                 "accept: */*\r\n",
                       .body = "{}"});
  CHECK_EQUAL(request,
              "POST /v1 HTTP/1.1\r\nhost: replica.test:8000\r\n"
              "content-type: application/json\r\nx-tenant-name: stays\r\naccept: */*\r\n" +
                  own() +
                  "content-length: 2\r\n"
                  "Authorization: Bearer ours\r\nX-Tenant: right\r\n\r\n{}");
}

void refusesBadRequests() {
  OneReplica test;
  const Client& badField = test.relay.fetch({.fields = "no colon\r\n"});
  CHECK(badField.failure == Failure::kBadRequest && !badField.headRelayed);
  CHECK_EQUAL(statusOf(badField.failure), 400);
  std::string vias;
  for (size_t i = 0; i < kHopsMax; i++) vias += "via: 1.1 pointsman\r\n";
  const Client& loop = test.relay.fetch({.fields = vias + vias.substr(0, vias.size() / kHopsMax)});
  CHECK(loop.failure == Failure::kLoop && !loop.headRelayed);
  CHECK_EQUAL(statusOf(loop.failure), 508);
  // More and less than Content-Length said, at once and later: never another request on that
  // connection.
  CHECK(test.relay.fetch({.body = "abc", .contentLength = 2}).failure == Failure::kBadRequest);
  CHECK(test.relay.fetch({.body = "a", .contentLength = 2}).failure == Failure::kBadRequest);
  CHECK_EQUAL(test.replica.connectionCount(), 0U);
  struct Rest {
    std::string_view body;
    bool last;
  };
  for (const Rest& rest : {Rest{"bcd", true}, Rest{"bcd", false}, Rest{"b", true}}) {
    Client& client = test.relay.start({.body = "a", .contentLength = 3, .last = false});
    test.relay.loop.settle();
    test.relay.sendBody(client, rest.body, rest.last);
    test.relay.finish(client);
    CHECK(client.failure == Failure::kBadRequest);
    CHECK(test.relay.loop.runUntil([&] { return test.replica.last().isPeerGone(); }));
    CHECK(test.replica.last().received().ends_with("\r\n\r\na"));
  }
  test.relay.checkQuiet();
  CHECK_EQUAL(test.relay.pool().openCount(), 0U);
}

// Pieces of all sizes, sent at different moments: before the connection is up, in one turn, in
// several.
void streamsBodies() {
  for (const bool isChunked : {false, true}) {
    for (const size_t pieceBytes : {1U, 7U, 1'000U, 70'000U}) {
      OneReplica test;
      const size_t pieces = pieceBytes == 1 ? 300 : 20;
      std::string body;
      for (size_t i = 0; i < pieces * pieceBytes; i++) body += static_cast<char>('a' + i % 23);
      Client& client = test.relay.start(
          {.contentLength = isChunked ? -1 : static_cast<int64_t>(body.size()), .last = false});
      for (size_t i = 0; i < pieces; i++) {
        if (i % 3 == 1) test.relay.loop.turn();
        test.relay.sendBody(client, std::string_view(body).substr(i * pieceBytes, pieceBytes),
                            false);
      }
      test.relay.sendBody(client, {}, true);
      test.relay.finish(client);
      CHECK_EQUAL(client.ends, 1U);
      const std::vector<std::string> requests = test.replica.last().requests();
      if (!CHECK_EQUAL(requests.size(), 1U)) continue;
      const std::string received = requests[0].substr(requests[0].find("\r\n\r\n") + 4);
      if (!isChunked) {
        CHECK(received == body);
      } else {
        std::string expected;
        char size[16];
        std::snprintf(size, sizeof size, "%zx\r\n", pieceBytes);
        for (size_t i = 0; i < pieces; i++) {
          expected.append(size).append(body, i * pieceBytes, pieceBytes).append("\r\n");
        }
        CHECK(received == expected + "0\r\n\r\n");
      }
      test.relay.checkQuiet();
      CHECK_EQUAL(test.relay.pool().idleCount(), 1U);
    }
  }
}

// A door that stops when it is asked to and goes on when it is told: waiting bytes stay bounded.
void boundsWaitingBytes() {
  constexpr size_t kBodyBytes = 48 * 1024 * 1024;
  constexpr size_t kPieceBytes = 64 * 1024;
  Relay relay;
  FakeReplica replica(relay.loop);
  relay.setTargets({targetOf(replica)});
  replica.play({stopReading()});
  Client& client = relay.start({.contentLength = kBodyBytes, .last = false});
  const std::string piece(kPieceBytes, 'z');
  size_t sent = 0;
  size_t waitingMax = 0;
  bool isPaused = false;
  const auto sendOn = [&] {
    while (!isPaused && sent < kBodyBytes) {
      sent += kPieceBytes;
      const size_t waiting = client.exchange->sendBody(piece, sent == kBodyBytes);
      waitingMax = std::max(waitingMax, waiting);
      isPaused = waiting > kRequestBufferBytesMax;
    }
  };
  client.onDrain = [&] { isPaused = false; };
  // Blocked: the kernel's buffers fill, then ours to its limit.
  for (int i = 0; i < 100; i++) {
    sendOn();
    relay.loop.turn(1);
  }
  CHECK(isPaused);
  CHECK(sent < kBodyBytes / 2);
  const size_t sentBefore = sent;
  relay.loop.settle();
  CHECK_EQUAL(client.drains > 0 ? sentBefore : sent, sent);
  replica.last().readOn();
  replica.last().append({waitRequest(), send(kOk)});
  CHECK(relay.loop.runUntil([&] {
    sendOn();
    return client.isOver();
  }));
  CHECK_EQUAL(client.ends, 1U);
  CHECK(client.drains > 10);
  CHECK(waitingMax <= kRequestBufferBytesMax + kPieceBytes + 1'024);
  CHECK_EQUAL(replica.requestCount(), 1U);
  relay.checkQuiet();
}

// The drain that follows when everything leaves at once: as the connection comes up, and in a call
// of sendBody.
void drainsAlways() {
  OneReplica test;
  Client& client = test.relay.start({.contentLength = 200'001, .last = false});
  CHECK(test.relay.sendBody(client, std::string(200'000, 'x'), false) > kRequestBufferBytesMax);
  CHECK_EQUAL(client.drains, 0U);
  CHECK(test.relay.loop.runUntil([&] { return client.drains == 1; }));
  test.relay.sendBody(client, "y", true);
  test.relay.finish(client);
  CHECK_EQUAL(client.ends, 1U);

  Relay relay;
  FakeReplica replica(relay.loop);
  relay.setTargets({targetOf(replica)});
  replica.play({stopReading()});
  Client& full = relay.start({.contentLength = -1, .last = false});
  const std::string piece(256 * 1024, 'x');
  size_t waiting = 0;
  full.onDrain = [&] { waiting = 0; };
  CHECK(relay.loop.runUntil([&] {
    if (waiting <= kRequestBufferBytesMax) waiting = relay.sendBody(full, piece, false);
    return waiting > kRequestBufferBytesMax && !relay.loop.turn(5);
  }));
  const uint32_t drains = full.drains;
  replica.last().readOn();
  // The replica takes what stands in the kernel's buffers; this call then sends the rest before a
  // writable event can.
  CHECK(relay.loop.runUntil([&] { return relay.sendBody(full, "x", false) == 0; }));
  CHECK(relay.loop.runUntil([&] { return full.drains > drains; }));
  relay.cancel(full);
  relay.checkQuiet();
}

// A replica that answers before it has the request: the answer counts, the connection does not.
void relaysEarlyAnswers() {
  for (const ReplicaStep& after : {stall(), closeBoth(), reset()}) {
    Relay relay;
    FakeReplica replica(relay.loop);
    relay.setTargets({targetOf(replica)});
    replica.play(
        {waitBytes(1), send("HTTP/1.1 413 Too Large\r\ncontent-length: 2\r\n\r\nno"), after});
    Client& client = relay.start({.body = "part", .contentLength = 1'000'000, .last = false});
    relay.finish(client);
    // A reset may overtake the answer; then there is none.
    if (client.ends == 1) {
      CHECK_EQUAL(client.status, 413);
      CHECK_EQUAL(client.body, "no");
    } else {
      CHECK(after.kind == ReplicaStep::Kind::kReset);
    }
    relay.checkQuiet();
    CHECK_EQUAL(relay.pool().openCount(), 0U);
  }
}

// The replica takes no more bytes: a client that leaves is seen there although a FIN could not pass
// them.
void resetsWhatIsNotTaken() {
  Relay relay;
  FakeReplica replica(relay.loop);
  replica.play({waitBytes(1), stopReading(), stall()});
  relay.setTargets({targetOf(replica)});
  Client& client = relay.start({.contentLength = 100'000'000, .last = false});
  const std::string piece(60'000, 'x');
  CHECK(relay.loop.runUntil([&] {
    const size_t waiting = relay.sendBody(client, piece, false);
    return waiting > kRequestBufferBytesMax && !relay.loop.turn(5);
  }));
  relay.cancel(client);
  replica.last().readOn();
  CHECK(relay.loop.runUntil([&] { return replica.last().isPeerGone(); }));
  CHECK(replica.last().isReset());
  relay.checkQuiet();
}

}  // namespace

int main() {
  writesHeads();
  writesMlflowTarget();
  forwardsFields();
  refusesBadRequests();
  streamsBodies();
  boundsWaitingBytes();
  drainsAlways();
  relaysEarlyAnswers();
  resetsWhatIsNotTaken();
  return finishChecks();
}
