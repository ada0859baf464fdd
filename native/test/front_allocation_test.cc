// HOT: a request through the native door of a warm connection allocates nothing, from its first
// byte to the last of its answer; a refusal neither.
#include <sys/socket.h>
#include <unistd.h>

#include <array>

#include "test/check.h"
#include "test/counting_new.h"
#include "test/net/front_kit.h"

namespace {

using namespace pointsman;        // NOLINT: the code under test
using namespace pointsman::test;  // NOLINT: its kit

constexpr uint32_t kWarmUp = 100;
constexpr uint32_t kRequests = 1'000;

// Reads answers into a buffer of its own; FrontClient's grows.
class PlainClient {
 public:
  explicit PlainClient(FrontKit& kit) : kit_(kit) {
    int ends[2];
    CHECK_EQUAL(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends), 0);
    sockaddr_storage peer{};
    peer.ss_family = AF_INET;
    CHECK(kit.front->open(ends[1], peer));
    fd_ = ends[0];
  }
  ~PlainClient() { close(fd_); }
  PlainClient(const PlainClient&) = delete;
  PlainClient& operator=(const PlainClient&) = delete;

  // Bytes of the answer, which must come in one piece.
  std::string_view ask(std::string_view first, std::string_view second = {}) {
    CHECK_EQUAL(::send(fd_, first.data(), first.size(), MSG_NOSIGNAL),
                static_cast<ssize_t>(first.size()));
    if (!second.empty()) {
      kit_.loop.turn(100);
      CHECK_EQUAL(::send(fd_, second.data(), second.size(), MSG_NOSIGNAL),
                  static_cast<ssize_t>(second.size()));
    }
    for (int turns = 0; turns < 10'000; turns++) {
      const ssize_t got = recv(fd_, buffer_.data(), buffer_.size(), MSG_DONTWAIT);
      if (got > 0) return {buffer_.data(), static_cast<size_t>(got)};
      kit_.loop.turn(1);
    }
    return {};
  }

 private:
  FrontKit& kit_;
  int fd_ = -1;
  std::array<char, 4096> buffer_{};
};

// Answers every read on the connection; a FakeReplica remembers what it gets, and grows.
struct Echo final : public IoWatcher {
  Echo(Loop& loop, int accepted) : fd(accepted), watch(loop.watch(fd, kReadable, this)) {}
  void onIo(uint32_t /*events*/) noexcept override {
    std::array<char, 4096> buffer{};
    const ssize_t got = recv(fd, buffer.data(), buffer.size(), MSG_DONTWAIT);
    if (got > 0) (void)::send(fd, kOk.data(), kOk.size(), MSG_NOSIGNAL);
  }
  int fd;
  Loop::Watch* watch;
};

struct Listener final : public IoWatcher {
  explicit Listener(Loop& owner) : loop(owner), fd(listenOnLoopback(8, port)) {
    watch = loop.watch(fd, kReadable, this);
  }
  ~Listener() {
    loop.unwatch(watch);
    close(fd);
    if (!echo) return;
    loop.unwatch(echo->watch);
    close(echo->fd);
  }
  void onIo(uint32_t /*events*/) noexcept override {
    CHECK(!echo);
    echo.emplace(loop, accept(fd, nullptr, nullptr));
  }
  Loop& loop;
  uint16_t port = 0;
  int fd;
  Loop::Watch* watch = nullptr;
  std::optional<Echo> echo{};
};

void checkAllocations(const char* name, FrontKit& kit, std::string_view first,
                      std::string_view second, std::string_view expected) {
  PlainClient client(kit);
  uint64_t before = 0;
  for (uint32_t i = 0; i < kWarmUp + kRequests; i++) {
    if (i == kWarmUp) before = allocationCount;
    const std::string_view answer = client.ask(first, second);
    if (!CHECK(answer.starts_with(expected))) break;
  }
  if (!CHECK_EQUAL(allocationCount - before, 0U)) std::cerr << "in " << name << '\n';
}

}  // namespace

int main() {
  FrontKit kit;
  Listener listener(kit.loop);
  {
    const Ref<AddressSet> addresses = kit.engine->addressSet("a", Protocol::kMlflow);
    CHECK_EQUAL(addresses->update(*kit.engine, {{.host = "127.0.0.1",
                                                 .port = listener.port,
                                                 .authority = "replica.test",
                                                 .basePath = "",
                                                 .weight = 1,
                                                 .ready = true,
                                                 .statsSlot = 7}}),
                std::string());
  }
  kit.tokens.insert(kGoodToken, 0, 0, makeRef<TokenGrant>(TokenTerms{.everything = true}));
  const std::string fields =
      "content-type: application/json\r\naccept: */*\r\nuser-agent: client/1.0\r\n";
  const std::string plain = post("a", std::string(100, 'x'), fields);
  checkAllocations("a request", kit, plain, {}, "HTTP/1.1 200 ");
  const size_t headEnd = plain.find("\r\n\r\n") + 4;
  checkAllocations("a head, then a body", kit, plain.substr(0, headEnd), plain.substr(headEnd),
                   "HTTP/1.1 200 ");
  checkAllocations("a head in two pieces", kit, plain.substr(0, 60), plain.substr(60),
                   "HTTP/1.1 200 ");
  const std::string chunked =
      post("a", "5;a=b\r\nhello\r\n0\r\n\r\n", fields + "Transfer-Encoding: chunked\r\n");
  checkAllocations("chunks", kit, chunked, {}, "HTTP/1.1 200 ");
  const std::string refused = post("missing", "{}");
  checkAllocations("a refusal", kit, refused, {}, "HTTP/1.1 404 ");
  const std::string unauthenticated =
      "POST /serving-endpoints/a/invocations HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n";
  checkAllocations("a refusal without a token", kit, unauthenticated, {}, "HTTP/1.1 401 ");
  CHECK(allocationCount > 0);
  return finishChecks();
}
