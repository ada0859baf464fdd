// HOT: a request over a warm connection allocates nothing, nor does one that waits for its place
// under a limit. Counted, and timed for the record.
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <cstdio>

#include "test/check.h"
#include "test/counting_new.h"
#include "test/net/relay.h"

namespace {

using namespace pointsman;
using namespace pointsman::test;

constexpr uint32_t kWarmUp = 100;
constexpr uint32_t kRequests = 1'000;

// A door without a memory.
struct CountingDoor final : public Door {
  void onAnswer(Exchange& /*exchange*/, const AnswerEvent& event) noexcept override {
    ends += event.end ? 1 : 0;
    bytes += event.body.size();
  }
  void onFailure(Exchange& /*exchange*/, Failure /*failure*/,
                 bool /*headRelayed*/) noexcept override {
    failures++;
  }
  void onRequestDrain(Exchange& /*exchange*/) noexcept override {}
  void onClaimDoubtful(Exchange& exchange) noexcept override { exchange.proceed(); }
  uint32_t ends = 0;
  uint32_t failures = 0;
  size_t bytes = 0;
};

// The other end of a socket, answering every read with one answer; requests here are smaller than a
// read.
struct Echo final : public IoWatcher {
  Echo(Loop& loop, int listenFd)
      : fd(accept(listenFd, nullptr, nullptr)), watch(loop.watch(fd, kReadable, this)) {}
  void onIo(uint32_t /*events*/) noexcept override {
    std::array<char, 4096> buffer{};
    const ssize_t got = recv(fd, buffer.data(), buffer.size(), MSG_DONTWAIT);
    if (got <= 0) return;
    requests++;
    (void)::send(fd, answer.data(), answer.size(), MSG_NOSIGNAL);
  }
  static constexpr std::string_view answer =
      "HTTP/1.1 200 OK\r\nserver: uvicorn\r\ncontent-type: application/json\r\ncontent-length: "
      "21\r\n\r\n"
      "{\"predictions\":[0.5]}";
  int fd;
  Loop::Watch* watch;
  uint32_t requests = 0;
};

struct Listener final : public IoWatcher {
  Listener(Loop& loop_, int fd_) : loop(loop_), fd(fd_), watch(loop.watch(fd, kReadable, this)) {}
  ~Listener() {
    loop.unwatch(watch);
    close(fd);
    if (!echo) return;
    loop.unwatch(echo->watch);
    close(echo->fd);
  }
  void onIo(uint32_t /*events*/) noexcept override {
    CHECK(!echo);
    echo.emplace(loop, fd);
  }
  Loop& loop;
  int fd;
  Loop::Watch* watch;
  std::optional<Echo> echo;
};

}  // namespace

int main() {
  Relay relay;
  uint16_t port = 0;
  const int fd = listenOnLoopback(8, port);
  Listener listener(relay.loop, fd);
  relay.setTargets({{.host = "127.0.0.1", .port = port}});
  relay.spec->headerLines = "authorization: Bearer secret\r\n";
  relay.spec->limit = {.gate = relay.engine->admission().gate(0), .maxInFlight = 1};
  relay.spec->queueMax = 1;
  relay.spec->queueMs = 60'000;
  const Limit limit{.gate = relay.engine->admission().gate(1), .maxInFlight = 1};
  CountingDoor door;
  const std::string body(100, 'x');
  const RequestHead head{
      .method = "POST",
      .query = "a=b",
      .fields = "content-type: application/json\r\naccept: */*\r\nuser-agent: client/1.0\r\n",
      .clientAddress = "192.0.2.7",
      .requestId = "0123456789abcdef",
      .contentLength = 100};
  uint64_t allocations = 0;
  auto started = std::chrono::steady_clock::now();
  // Of each two the second waits for the first.
  for (uint32_t i = 0; i < kWarmUp + kRequests; i += 2) {
    if (i == kWarmUp) {
      allocations = allocationCount;
      started = std::chrono::steady_clock::now();
    }
    for (int one = 0; one < 2; one++) {
      relay.engine->createExchange(1)->start(door, relay.spec, relay.stats, limit, head, body,
                                             true);
    }
    CHECK_EQUAL(relay.column->limits[0].waiting.load(), 1U);
    while (door.ends + door.failures < i + 2) relay.loop.turn(100);
  }
  const std::chrono::duration<double, std::micro> took = std::chrono::steady_clock::now() - started;
  CHECK_EQUAL(allocationCount - allocations, 0U);
  CHECK_EQUAL(door.failures, 0U);
  CHECK_EQUAL(door.bytes, 21U * (kWarmUp + kRequests));
  CHECK_EQUAL(relay.address(0).stats().connects, 1U);
  CHECK_EQUAL(listener.echo->requests, kWarmUp + kRequests);
  std::printf("%.2f us per request, replica and loop included\n", took.count() / kRequests);
  relay.checkQuiet();
  return finishChecks();
}
