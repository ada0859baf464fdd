// Sends requests, at a fixed rate or as fast as answers come, and checks every answer.
//
// At a fixed rate (open loop) request i is due at start + i / rate, and its latency counts from
// then, not from when a connection was free: a proxy that stalls for 100 ms makes a thousand
// requests late at 10,000 per second, not one. How late the generator itself was is reported beside
// it (late_us, sends that did not wait for a connection): when that is large, the generator was
// the bottleneck and the figures mean nothing.
//
// Prints one line of JSON. Exit code 0 also when answers were wrong; `failures` says how many.
#include <poll.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <deque>
#include <map>
#include <vector>

#include "answer_check.h"
#include "client.h"
#include "http1/response_parser.h"
#include "request_source.h"

namespace {

using namespace pointsman;
using namespace pointsman::bench;

constexpr const char* kUsage =
    "usage: generator --port N [--path P] [--header 'Name: value']... [--connections N]\n"
    "  [--rate PER-SECOND] [--duration-ms N] [--requests N] [--body-bytes N] [--answer-bytes N]\n"
    "  [--tokens FILE] [--varied 1]\n"
    "without --rate each connection sends again when it has its answer; --tokens: a bearer token\n"
    "per line, each sent once; with --varied the first one, with a wrong signature each time\n";
constexpr size_t kReadBytesMax = size_t{256} * 1024;
// Answers that have not come by then are failures.
constexpr uint64_t kLastAnswerNs = uint64_t{3} * 1'000'000'000;
constexpr uint64_t kStartDelayNs = 20'000'000;
constexpr uint64_t kWaitNsMax = 50'000'000;

struct Failures {
  uint64_t connect = 0;
  // Closed or broken before the answer was complete.
  uint64_t closed = 0;
  uint64_t syntax = 0;
  uint64_t status = 0;
  uint64_t body = 0;
  uint64_t entity = 0;
  uint64_t unanswered = 0;

  uint64_t total() const noexcept {
    return connect + closed + syntax + status + body + entity + unanswered;
  }
};

struct Connection {
  Connection(const std::string& expected, uint64_t sentBytes) noexcept
      : check(expected, sentBytes) {}

  int fd = -1;
  bool isBusy = false;
  bool isWatchingWrites = false;
  uint64_t dueNs = 0;
  std::string_view request;
  std::string requestText;
  size_t requestBytesSent = 0;
  ResponseParser parser;
  AnswerCheck check;
};

class Generator {
 public:
  explicit Generator(const ClientOptions& options)
      : options_(options),
        requests_(options),
        expected_(makeBody('?', options.answerBytes)),
        buffer_(kReadBytesMax) {
    epollFd_ = epoll_create1(EPOLL_CLOEXEC);
    for (uint32_t i = 0; i < options_.connections; ++i) {
      connections_.emplace_back(expected_, requests_.bodyBytes());
      if (!open(connections_.back())) {
        std::fprintf(stderr, "generator: port %u: %s\n", options_.port, std::strerror(errno));
        std::exit(1);
      }
    }
  }

  void run() {
    for (Connection& connection : connections_) idle_.push_back(&connection);
    startNs_ = nowNs() + (isOpenLoop() ? kStartDelayNs : 0);
    endNs_ = startNs_ + options_.durationMs * 1'000'000;
    requestsMax_ = requests_.size();
    if (isOpenLoop()) {
      const double due = options_.rate * static_cast<double>(options_.durationMs) / 1'000;
      requestsMax_ = std::min(requestsMax_, static_cast<uint64_t>(due));
    }
    const uint64_t giveUpNs = endNs_ + kLastAnswerNs;
    uint64_t now = nowNs();
    while (now < giveUpNs && !isDone(now)) {
      const uint64_t wakeNs = sendDue(now);
      wait(std::min({wakeNs, now + kWaitNsMax, giveUpNs}));
      now = nowNs();
    }
    lastNs_ = now;
    for (const Connection& connection : connections_) {
      if (!connection.isBusy) continue;
      ++failures_.unanswered;
      latency_.record(now - connection.dueNs);
    }
    // Due, but no connection came free.
    if (isOpenLoop()) {
      for (; begun_ < requestsMax_; ++begun_) {
        ++failures_.unanswered;
        latency_.record(now - dueOf(begun_));
      }
    }
  }

  void print() const {
    const double seconds = static_cast<double>(lastNs_ - startNs_) / 1e9;
    std::printf("{\"answers\":%llu,\"seconds\":%.4f,\"failures\":%llu,",
                static_cast<unsigned long long>(answers_), seconds,
                static_cast<unsigned long long>(failures_.total()));
    std::printf(
        "\"failed\":{\"connect\":%llu,\"closed\":%llu,\"syntax\":%llu,\"status\":%llu,"
        "\"body\":%llu,\"entity\":%llu,\"unanswered\":%llu},",
        static_cast<unsigned long long>(failures_.connect),
        static_cast<unsigned long long>(failures_.closed),
        static_cast<unsigned long long>(failures_.syntax),
        static_cast<unsigned long long>(failures_.status),
        static_cast<unsigned long long>(failures_.body),
        static_cast<unsigned long long>(failures_.entity),
        static_cast<unsigned long long>(failures_.unanswered));
    std::printf("\"reconnects\":%llu,\"statuses\":{", static_cast<unsigned long long>(reconnects_));
    const char* separator = "";
    for (const auto& [status, count] : statuses_) {
      std::printf("%s\"%u\":%llu", separator, status, static_cast<unsigned long long>(count));
      separator = ",";
    }
    std::printf("},\"entities\":{");
    separator = "";
    for (const auto& [entity, count] : entities_) {
      std::printf("%s\"%c\":%llu", separator, entity, static_cast<unsigned long long>(count));
      separator = ",";
    }
    std::printf("},");
    printHistogram("latency_us", latency_);
    std::printf(",");
    printHistogram("late_us", lateness_);
    std::printf("}\n");
  }

 private:
  bool isOpenLoop() const noexcept { return options_.rate > 0; }

  uint64_t dueOf(uint64_t number) const noexcept {
    return startNs_ + static_cast<uint64_t>(static_cast<double>(number) * 1e9 / options_.rate);
  }

  bool isDone(uint64_t now) const noexcept {
    return hasBegunAll(now) && idle_.size() == connections_.size();
  }

  bool hasBegunAll(uint64_t now) const noexcept {
    return begun_ >= requestsMax_ || (!isOpenLoop() && now >= endNs_);
  }

  // Begins what is due, as far as there are connections; answers when to look again.
  uint64_t sendDue(uint64_t now) {
    while (!idle_.empty()) {
      if (hasBegunAll(now)) return UINT64_MAX;
      const uint64_t dueNs = isOpenLoop() ? dueOf(begun_) : now;
      if (dueNs > now) {
        waitedForClock_ = true;
        return dueNs;
      }
      Connection& connection = *idle_.front();
      idle_.pop_front();
      ++begun_;
      // A request that found no free connection when it was due is late by the proxy's doing.
      if (waitedForClock_) lateness_.record(now - dueNs);
      connection.dueNs = dueNs;
      begin(connection);
    }
    waitedForClock_ = false;
    return UINT64_MAX;
  }

  void begin(Connection& connection) {
    connection.isBusy = true;
    connection.request = requests_.next(connection.requestText);
    connection.requestBytesSent = 0;
    connection.parser.reset(false);
    connection.check.start();
    if (connection.fd < 0 && !open(connection)) {
      ++failures_.connect;
      return finish(connection);
    }
    sendRest(connection);
  }

  void sendRest(Connection& connection) {
    const std::string_view request = connection.request;
    while (connection.requestBytesSent < request.size()) {
      const ssize_t sent = send(connection.fd, request.data() + connection.requestBytesSent,
                                request.size() - connection.requestBytesSent, MSG_NOSIGNAL);
      if (sent < 0 && errno == EAGAIN) return watchWrites(connection, true);
      if (sent < 0) return fail(connection, failures_.closed);
      connection.requestBytesSent += static_cast<size_t>(sent);
    }
    watchWrites(connection, false);
  }

  void wait(uint64_t untilNs) {
    const uint64_t now = nowNs();
    const uint64_t restNs = untilNs > now ? untilNs - now : 0;
    // epoll_wait knows milliseconds only; ppoll waits to the nanosecond.
    pollfd epoll{.fd = epollFd_, .events = POLLIN, .revents = 0};
    const timespec rest{.tv_sec = static_cast<time_t>(restNs / 1'000'000'000),
                        .tv_nsec = static_cast<long>(restNs % 1'000'000'000)};
    if (ppoll(&epoll, 1, &rest, nullptr) <= 0) return;
    const int count = epoll_wait(epollFd_, events_.data(), static_cast<int>(events_.size()), 0);
    for (int i = 0; i < count; ++i) {
      const epoll_event& event = events_[static_cast<size_t>(i)];
      auto& connection = *static_cast<Connection*>(event.data.ptr);
      if (connection.fd < 0) continue;
      if ((event.events & EPOLLOUT) != 0 && connection.isBusy) sendRest(connection);
      if ((event.events & ~uint32_t{EPOLLOUT}) != 0 && connection.fd >= 0) readFrom(connection);
    }
  }

  void readFrom(Connection& connection) {
    const ssize_t got = recv(connection.fd, buffer_.data(), buffer_.size(), 0);
    if (got < 0 && (errno == EAGAIN || errno == EINTR)) return;
    if (!connection.isBusy) {
      // Closed while idle, which is the proxy's right; bytes that nobody asked for are not.
      if (got > 0) ++failures_.syntax;
      shut(connection);
      ++reconnects_;
      return;
    }
    if (got <= 0) return fail(connection, failures_.closed);
    std::string_view input(buffer_.data(), static_cast<size_t>(got));
    for (;;) {
      const ResponseParser::Step step = connection.parser.next(input);
      input.remove_prefix(step.consumed);
      switch (step.kind) {
        case StepKind::kNeedMore:
          return;
        case StepKind::kHead:
          noteHead(connection);
          break;
        case StepKind::kBodyData:
          connection.check.onBody(step.body);
          break;
        case StepKind::kEnd:
          return complete(connection, input.empty());
        case StepKind::kError:
          return fail(connection, failures_.syntax);
      }
    }
  }

  static void noteHead(Connection& connection) {
    for (const HeaderField& field : connection.parser.fields()) {
      if (equalsLower(field.name, "served-model-name")) {
        connection.check.onServedEntity(field.value);
      }
    }
  }

  void complete(Connection& connection, bool isClean) {
    const uint32_t status = connection.parser.status();
    ++answers_;
    ++statuses_[status];
    if (status != 200) {
      ++failures_.status;
    } else if (!connection.check.isBodyRight() || !isClean) {
      ++failures_.body;
    } else {
      ++entities_[connection.check.entity()];
      if (!connection.check.isEntityRight()) ++failures_.entity;
    }
    if (!connection.parser.isReusable() || !isClean) {
      shut(connection);
      ++reconnects_;
    }
    finish(connection);
  }

  void fail(Connection& connection, uint64_t& counter) {
    ++counter;
    shut(connection);
    finish(connection);
  }

  void finish(Connection& connection) {
    latency_.record(nowNs() - connection.dueNs);
    connection.isBusy = false;
    idle_.push_back(&connection);
  }

  bool open(Connection& connection) const {
    connection.fd = connectTo(options_.port);
    if (connection.fd < 0) return false;
    connection.isWatchingWrites = false;
    epoll_event event{};
    event.events = EPOLLIN;
    event.data.ptr = &connection;
    return epoll_ctl(epollFd_, EPOLL_CTL_ADD, connection.fd, &event) == 0;
  }

  static void shut(Connection& connection) {
    close(connection.fd);
    connection.fd = -1;
  }

  void watchWrites(Connection& connection, bool isWanted) const {
    if (connection.isWatchingWrites == isWanted) return;
    connection.isWatchingWrites = isWanted;
    epoll_event event{};
    event.events = isWanted ? EPOLLIN | EPOLLOUT : EPOLLIN;
    event.data.ptr = &connection;
    epoll_ctl(epollFd_, EPOLL_CTL_MOD, connection.fd, &event);
  }

  const ClientOptions& options_;
  RequestSource requests_;
  const std::string expected_;
  std::vector<char> buffer_;
  int epollFd_ = -1;
  std::array<epoll_event, 64> events_{};
  // A deque, since parsers must not move.
  std::deque<Connection> connections_;
  // First in, first out: all connections are in use even at a low rate.
  std::deque<Connection*> idle_;
  uint64_t startNs_ = 0;
  uint64_t endNs_ = 0;
  uint64_t lastNs_ = 0;
  uint64_t requestsMax_ = 0;
  uint64_t begun_ = 0;
  bool waitedForClock_ = true;
  uint64_t answers_ = 0;
  uint64_t reconnects_ = 0;
  Failures failures_;
  std::map<uint32_t, uint64_t> statuses_;
  std::map<char, uint64_t> entities_;
  Histogram latency_;
  Histogram lateness_;
};

}  // namespace

int main(int argc, char** argv) {
  prctl(PR_SET_PDEATHSIG, SIGTERM);
  prctl(PR_SET_TIMERSLACK, 1);
  const ClientOptions options = parseOptions(argc, argv, kUsage);
  Generator generator(options);
  generator.run();
  generator.print();
  return 0;
}
