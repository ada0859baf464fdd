// Replicas that answer wrongly: no client may get a wrong byte, and no connection may be used
// again.
//
// The first twelve answers are derived from nginx-tests (BSD-2-Clause): proxy_extra_data,
// proxy_duplicate_headers, proxy_unfinished, proxy_chunked_extra, proxy_connection_headers,
// proxy_early_hints. Each comes on a fresh and on a reused connection, whole and byte by byte, with
// and without the close behind it.
#include <string>

#include "test/check.h"
#include "test/net/relay.h"

namespace {

using namespace pointsman;
using namespace pointsman::test;

// What the client may see; for a failure, whether the head may come before it.
enum class Outcome : uint8_t { kRefused, kAnswered, kBrokenOff };

struct Misbehaviour {
  std::string_view name;
  std::vector<std::string> sends;
  Outcome outcome;
  std::string body = "";
  // The exchange is over without the close.
  bool endsByItself = true;
  // Nothing speaks against the connection but the close behind the answer.
  bool isClean = false;
};

std::vector<Misbehaviour> misbehaviours() {
  const std::string ok = "HTTP/1.1 200 OK\r\n";
  const std::string close = ok + "Connection: close\r\n";
  const std::string html = ok + "Content-Type: text/html\r\n";
  const std::string chunked = "Transfer-Encoding: chunked\r\n";
  const std::string empty = "Content-Length: 0\r\n";
  const std::string x(128, 'x');
  const std::string y(117, 'y');
  const std::string z(117, 'z');
  return {
      {"invalid-length", {close + "Content-Length: foo\r\n\r\n"}, Outcome::kRefused},
      {"duplicate-length", {close + empty + empty + "\r\n"}, Outcome::kRefused},
      {"unknown-te", {close + "Transfer-Encoding: foo\r\n\r\n"}, Outcome::kRefused},
      {"dup-te", {close + chunked + chunked + "\r\n0\r\n\r\n"}, Outcome::kRefused},
      {"cl-and-te", {close + empty + chunked + "\r\n0\r\n\r\n"}, Outcome::kRefused},
      {"te-and-cl", {close + chunked + empty + "\r\n0\r\n\r\n"}, Outcome::kRefused},
      {"extra-data",
       {html + "Content-Length: 8\r\n\r\nSEE-THIS-BUT-NOT-THIS\n"},
       Outcome::kAnswered,
       "SEE-THIS"},
      {"zero-extra", {html + empty + "\r\nNOT-THIS\n"}, Outcome::kAnswered},
      {"short",
       {html + "Content-Length: 100\r\n\r\nSEE-THIS-TOO-SHORT-RESPONSE\n"},
       Outcome::kBrokenOff,
       "SEE-THIS-TOO-SHORT-RESPONSE\n",
       false},
      {"short-empty", {html + "Content-Length: 100\r\n\r\n"}, Outcome::kBrokenOff, "", false},
      {"chunked-unfinished",
       {ok + chunked + "Connection: close\r\n\r\nff\r\nunfinished\r\n"},
       Outcome::kBrokenOff,
       "unfinished\r\n",
       false},
      {"chunked-extra",
       {close + chunked + "\r\n80\r\n" + x + "\r\n\r\n",
        "75\r\n" + y + "\r\n\r\n0\r\n\r\n75\r\n" + z + "\r\n\r\n0\r\n\r\n"},
       // The empty line behind the first chunk is no chunk: the answer is broken there.
       Outcome::kBrokenOff,
       x},
      {"upgrade-200",
       {ok + "Connection: Upgrade\r\nUpgrade: websocket\r\n" + empty + "\r\n"},
       Outcome::kAnswered,
       "",
       true,
       true},
      {"unsolicited-101",
       {"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\nraw"},
       Outcome::kRefused},
      {"early-hints",
       {"HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\n\r\n" + ok +
        "Content-Length: 2\r\n\r\nok"},
       Outcome::kAnswered,
       "ok",
       true,
       true},
  };
}

struct Way {
  bool isReused;
  bool isByteByByte;
  bool isClosed;
};

void checkOutcome(const Misbehaviour& one, const Way& way, const Client& client) {
  switch (one.outcome) {
    case Outcome::kAnswered:
      CHECK_EQUAL(client.ends, 1U);
      CHECK_EQUAL(client.status, 200);
      CHECK_EQUAL(client.body, one.body);
      CHECK(client.fields.find("pgrade") == std::string::npos);
      return;
    case Outcome::kRefused:
      CHECK_EQUAL(client.failures, 1U);
      CHECK_EQUAL(static_cast<int>(client.failure), static_cast<int>(Failure::kBadAnswer));
      CHECK_EQUAL(client.heads, 0U);
      CHECK_EQUAL(statusOf(client.failure), 502);
      return;
    case Outcome::kBrokenOff:
      CHECK_EQUAL(client.failures, 1U);
      CHECK_EQUAL(client.ends, 0U);
      CHECK(one.body.starts_with(client.body));
      // Never a clean end; a fault that came with the head may still become a 502.
      if (client.headRelayed) {
        CHECK(client.failure == Failure::kTruncated || client.failure == Failure::kBodyIdleTimeout);
      } else {
        CHECK(client.failure == Failure::kBadAnswer);
      }
      if (way.isByteByByte) CHECK(client.headRelayed);
      return;
  }
}

void misbehaves(const Misbehaviour& one, const Way& way) {
  Relay relay;
  FakeReplica replica(relay.loop);
  relay.setTargets({targetOf(replica)});
  ReplicaScript script;
  if (way.isReused) script = {waitRequest(), send(kOk)};
  script.push_back(waitRequest());
  for (const std::string& bytes : one.sends)
    script.push_back(send(bytes, way.isByteByByte ? 1 : 0));
  script.push_back(way.isClosed ? finish() : stall());
  replica.play(script);
  replica.play(okForever());
  if (way.isReused) CHECK_EQUAL(relay.fetch().body, "ok");
  Client& client = relay.start({.body = "{}"});
  if (!way.isClosed && !one.endsByItself) {
    CHECK(relay.loop.runUntil([&] { return client.body == one.body && client.heads == 1; }));
    relay.loop.advance(relay.spec->bodyIdleMs + 2 * kTickMs);
  }
  relay.finish(client);
  checkOutcome(one, way, client);
  // All of the script is out, or the replica has seen the connection close; then the next request
  // comes.
  CHECK(relay.loop.runUntil([&] { return !replica.last().isOpen() || replica.last().isPlayed(); }));
  relay.checkQuiet();
  const bool isKept = one.isClean && !way.isClosed;
  CHECK(relay.loop.runUntil([&] { return relay.pool().openCount() == (isKept ? 1U : 0U); }));
  const Client& next = relay.fetch({.body = "next"});
  CHECK_EQUAL(next.body, "ok");
  CHECK_EQUAL(replica.connectionCount(), isKept ? 1U : 2U);
  relay.checkQuiet();
}

}  // namespace

int main() {
  for (const Misbehaviour& one : misbehaviours()) {
    for (unsigned int bits = 0; bits < 8; bits++) {
      const Way way{.isReused = (bits & 1) != 0,
                    .isByteByByte = (bits & 2) != 0,
                    .isClosed = (bits & 4) != 0};
      // What goes on a kept connection must be answered there.
      if (one.isClean && !way.isClosed) continue;
      const uint64_t failures = failureCount;
      misbehaves(one, way);
      if (failureCount > failures) {
        std::cerr << "in " << one.name << " reused " << way.isReused << " bytes "
                  << way.isByteByByte << " closed " << way.isClosed << '\n';
      }
    }
  }
  return finishChecks();
}
