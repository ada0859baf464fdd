// The replica of the benchmarks: answers as cheaply as it can, so that what is measured is the
// proxy before it.
//
//   stub ENTITY:WHAT ...     one listening port per argument, chosen by the system
//     a:bytes=64             answers of 64 bytes of JSON that name entity "a"
//     a:sse=10000x200        streams of 200 events, one per 10,000 microseconds
//
// Prints one line of JSON with the ports in the order of the arguments, then serves until it is
// ended, at the latest when its parent ends. One thread. A request is read to its end before it is
// answered; the answer says how many bytes of body came, so that the client can check both ways.
// An event carries the monotonic time at which it was written.
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <charconv>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <queue>
#include <string>
#include <string_view>
#include <vector>

#include "../wire.h"
#include "http1/chunked_decoder.h"
#include "http1/field.h"

namespace {

using namespace pointsman;
using namespace pointsman::bench;

constexpr size_t kReadBytesMax = size_t{256} * 1024;
constexpr size_t kHeadBytesMax = 65'536;
constexpr int kBacklog = 4'096;
constexpr std::string_view kEventHead =
    "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nCache-Control: no-store\r\n"
    "Transfer-Encoding: chunked\r\n\r\n";
constexpr std::string_view kLastChunk = "0\r\n\r\n";

struct Listener {
  int fd = -1;
  // Head and body of every answer; only the count of received bytes differs. Empty: a stream.
  std::string answer;
  size_t headBytes = 0;
  uint64_t eventIntervalNs = 0;
  uint64_t eventCount = 0;
};

enum class State : uint8_t { kHead, kLengthBody, kChunkedBody, kAnswer, kStream };

struct Connection {
  int fd = -1;
  Listener* listener = nullptr;
  State state = State::kHead;
  uint64_t bodyBytesLeft = 0;
  uint64_t bodyBytesReceived = 0;
  ChunkedDecoder chunks;
  // What came before its turn: a head in pieces, or a request behind the one that is answered.
  std::string kept;
  // Of the answer, while the peer does not take it.
  size_t answerBytesSent = 0;
  uint64_t eventsLeft = 0;
  uint64_t eventNumber = 0;
  // Told apart from a later connection with the same descriptor.
  uint64_t generation = 0;
  bool isWatchingWrites = false;
};

struct DueEvent {
  uint64_t atNs;
  int fd;
  uint64_t generation;
  bool operator>(const DueEvent& other) const { return atNs > other.atNs; }
};

[[noreturn]] void die(const char* what) {
  std::fprintf(stderr, "stub: %s: %s\n", what, std::strerror(errno));
  std::exit(1);
}

class Stub {
 public:
  explicit Stub(std::vector<Listener> listeners)
      : listeners_(std::move(listeners)), buffer_(kReadBytesMax) {
    epollFd_ = epoll_create1(EPOLL_CLOEXEC);
    timerFd_ = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    if (epollFd_ < 0 || timerFd_ < 0) die("epoll or timerfd");
    watch(timerFd_, EPOLLIN, EPOLL_CTL_ADD);
    for (const Listener& listener : listeners_) watch(listener.fd, EPOLLIN, EPOLL_CTL_ADD);
  }

  [[noreturn]] void run() {
    std::array<epoll_event, 256> events{};
    for (;;) {
      const int count = epoll_wait(epollFd_, events.data(), events.size(), -1);
      for (int i = 0; i < count; ++i) serve(events[static_cast<size_t>(i)]);
    }
  }

 private:
  void serve(const epoll_event& event) {
    const int fd = event.data.fd;
    if (fd == timerFd_) return sendDueEvents();
    for (Listener& listener : listeners_) {
      if (listener.fd == fd) return acceptAll(listener);
    }
    Connection* connection = connections_[static_cast<size_t>(fd)].get();
    if (connection == nullptr) return;
    if ((event.events & EPOLLOUT) != 0 && connection->state == State::kAnswer) {
      if (!continueAnswer(*connection)) return;
    }
    if ((event.events & (EPOLLIN | EPOLLHUP | EPOLLERR)) != 0) readFrom(*connection);
  }

  void acceptAll(Listener& listener) {
    for (;;) {
      const int fd = accept4(listener.fd, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
      if (fd < 0) return;
      const int on = 1;
      setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
      const auto index = static_cast<size_t>(fd);
      if (connections_.size() <= index) connections_.resize(index + 1);
      auto connection = std::make_unique<Connection>();
      connection->fd = fd;
      connection->listener = &listener;
      connection->generation = ++generations_;
      connections_[index] = std::move(connection);
      watch(fd, EPOLLIN, EPOLL_CTL_ADD);
    }
  }

  // HOT: one recv and one send per small request.
  void readFrom(Connection& connection) {
    const ssize_t got = recv(connection.fd, buffer_.data(), buffer_.size(), 0);
    if (got < 0 && (errno == EAGAIN || errno == EINTR)) return;
    if (got <= 0) return close(connection);
    consume(connection, {buffer_.data(), static_cast<size_t>(got)});
  }

  void consume(Connection& connection, std::string_view input) {
    std::string joined;
    if (!connection.kept.empty()) {
      joined = std::move(connection.kept);
      connection.kept.clear();
      joined += input;
      input = joined;
    }
    while (!input.empty()) {
      switch (connection.state) {
        case State::kHead:
          if (!readHead(connection, input)) return;
          break;
        case State::kLengthBody: {
          const uint64_t taken = std::min<uint64_t>(connection.bodyBytesLeft, input.size());
          connection.bodyBytesLeft -= taken;
          connection.bodyBytesReceived += taken;
          input.remove_prefix(taken);
          break;
        }
        case State::kChunkedBody: {
          const ChunkedDecoder::Step step = connection.chunks.next(input);
          if (step.error != ParseError::kNone) return close(connection);
          connection.bodyBytesReceived += step.data.size();
          input.remove_prefix(step.consumed);
          if (step.isEnd) connection.state = State::kLengthBody;
          break;
        }
        case State::kAnswer:
        case State::kStream:
          connection.kept = input;
          return;
      }
      if (connection.state == State::kLengthBody && connection.bodyBytesLeft == 0) {
        if (!answer(connection)) return;
      }
    }
  }

  // False when the rest of the head has yet to come, or the connection was closed.
  bool readHead(Connection& connection, std::string_view& input) {
    const size_t end = input.find("\r\n\r\n");
    if (end == std::string_view::npos) {
      if (input.size() > kHeadBytesMax) {
        close(connection);
      } else {
        connection.kept = input;
      }
      return false;
    }
    connection.state = State::kLengthBody;
    connection.bodyBytesLeft = 0;
    connection.bodyBytesReceived = 0;
    std::string_view lines = input.substr(0, end + 2);
    while (!lines.empty()) {
      const size_t lineBytes = lines.find('\n');
      readField(connection, lines.substr(0, lineBytes - 1));
      lines.remove_prefix(lineBytes + 1);
    }
    input.remove_prefix(end + 4);
    return true;
  }

  static void readField(Connection& connection, std::string_view line) {
    const size_t colon = line.find(':');
    const std::string_view name = line.substr(0, colon);
    if (equalsLower(name, "content-length")) {
      const std::string_view value = trimBlanks(line.substr(colon + 1));
      std::from_chars(value.data(), value.data() + value.size(), connection.bodyBytesLeft);
    } else if (equalsLower(name, "transfer-encoding")) {
      connection.chunks.reset(kHeadBytesMax);
      connection.state = State::kChunkedBody;
    }
  }

  // False when the connection was closed.
  bool answer(Connection& connection) {
    const Listener& listener = *connection.listener;
    if (listener.answer.empty()) {
      connection.state = State::kStream;
      connection.eventsLeft = listener.eventCount;
      connection.eventNumber = 0;
      if (!sendWhole(connection, kEventHead)) return false;
      // Streams that begin together do not send together.
      const uint64_t phaseNs =
          (connection.generation * 0x9e3779b97f4a7c15U >> 32) % listener.eventIntervalNs;
      due_.push({nowNs() + phaseNs, connection.fd, connection.generation});
      arm();
      return true;
    }
    connection.state = State::kAnswer;
    connection.answerBytesSent = 0;
    return continueAnswer(connection);
  }

  // False when the connection was closed.
  bool continueAnswer(Connection& connection) {
    // Shared by all connections: the part that differs goes out with the first bytes, into a socket
    // buffer that is empty.
    std::string& answer = connection.listener->answer;
    if (connection.answerBytesSent == 0) {
      writeReceivedBytes(answer.data() + connection.listener->headBytes,
                         connection.bodyBytesReceived);
    }
    while (connection.answerBytesSent < answer.size()) {
      const ssize_t sent = send(connection.fd, answer.data() + connection.answerBytesSent,
                                answer.size() - connection.answerBytesSent, MSG_NOSIGNAL);
      if (sent < 0 && errno == EAGAIN) {
        watchWrites(connection, true);
        return true;
      }
      if (sent < 0) {
        close(connection);
        return false;
      }
      connection.answerBytesSent += static_cast<size_t>(sent);
    }
    return nextRequest(connection);
  }

  // False when the connection was closed.
  bool nextRequest(Connection& connection) {
    watchWrites(connection, false);
    connection.state = State::kHead;
    if (connection.kept.empty()) return true;
    const uint64_t generation = connection.generation;
    const auto index = static_cast<size_t>(connection.fd);
    const std::string kept = std::move(connection.kept);
    connection.kept.clear();
    consume(connection, kept);
    return connections_[index] != nullptr && connections_[index]->generation == generation;
  }

  void sendDueEvents() {
    uint64_t expirations = 0;
    if (read(timerFd_, &expirations, sizeof expirations) < 0 && errno != EAGAIN) die("timerfd");
    while (!due_.empty() && due_.top().atNs <= nowNs()) {
      const DueEvent event = due_.top();
      due_.pop();
      Connection* connection = connections_[static_cast<size_t>(event.fd)].get();
      if (connection == nullptr || connection->generation != event.generation) continue;
      sendEvent(*connection, event.atNs);
    }
    arm();
  }

  void sendEvent(Connection& connection, uint64_t dueNs) {
    std::array<char, kEventChunkBytes + kLastChunk.size()> chunk{};
    const bool isLast = --connection.eventsLeft == 0;
    size_t bytes = writeEventChunk(chunk.data(), nowNs(), ++connection.eventNumber);
    if (isLast) {
      std::memcpy(chunk.data() + bytes, kLastChunk.data(), kLastChunk.size());
      bytes += kLastChunk.size();
    }
    if (!sendWhole(connection, {chunk.data(), bytes})) return;
    if (isLast) {
      nextRequest(connection);
    } else {
      due_.push(
          {dueNs + connection.listener->eventIntervalNs, connection.fd, connection.generation});
    }
  }

  // False when it does not fit the socket's buffer: the connection is closed then, a reader that
  // slow is no part of any benchmark.
  bool sendWhole(Connection& connection, std::string_view bytes) {
    const ssize_t sent = send(connection.fd, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (sent == static_cast<ssize_t>(bytes.size())) return true;
    close(connection);
    return false;
  }

  void arm() {
    if (due_.empty()) return;
    itimerspec spec{};
    const uint64_t atNs = due_.top().atNs;
    spec.it_value.tv_sec = static_cast<time_t>(atNs / 1'000'000'000);
    spec.it_value.tv_nsec = static_cast<long>(atNs % 1'000'000'000);
    timerfd_settime(timerFd_, TFD_TIMER_ABSTIME, &spec, nullptr);
  }

  void watch(int fd, uint32_t events, int operation) const {
    epoll_event event{};
    event.events = events;
    event.data.fd = fd;
    if (epoll_ctl(epollFd_, operation, fd, &event) < 0) die("epoll_ctl");
  }

  void watchWrites(Connection& connection, bool isWanted) const {
    if (connection.isWatchingWrites == isWanted) return;
    connection.isWatchingWrites = isWanted;
    watch(connection.fd, isWanted ? EPOLLIN | EPOLLOUT : EPOLLIN, EPOLL_CTL_MOD);
  }

  void close(const Connection& connection) {
    const int fd = connection.fd;
    ::close(fd);
    connections_[static_cast<size_t>(fd)].reset();
  }

  int epollFd_ = -1;
  int timerFd_ = -1;
  std::vector<Listener> listeners_;
  // By descriptor.
  std::vector<std::unique_ptr<Connection>> connections_;
  std::vector<char> buffer_;
  std::priority_queue<DueEvent, std::vector<DueEvent>, std::greater<>> due_;
  uint64_t generations_ = 0;
};

int listenAnywhere() {
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  sockaddr_in address = loopbackAddress(0);
  if (fd < 0 || bind(fd, reinterpret_cast<sockaddr*>(&address), sizeof address) < 0 ||
      listen(fd, kBacklog) < 0) {
    die("listen");
  }
  return fd;
}

uint16_t portOf(int fd) {
  sockaddr_in address{};
  socklen_t size = sizeof address;
  getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size);
  return ntohs(address.sin_port);
}

Listener makeListener(const char* argument) {
  Listener listener;
  char entity = 0;
  unsigned long long bytes = 0;
  unsigned long long intervalUs = 0;
  unsigned long long count = 0;
  if (std::sscanf(argument, "%c:bytes=%llu", &entity, &bytes) == 2 && bytes >= kBodyBytesMin) {
    std::string head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: " +
                       std::to_string(bytes) + "\r\n\r\n";
    listener.headBytes = head.size();
    listener.answer = head + makeBody(entity, bytes);
  } else if (std::sscanf(argument, "%c:sse=%llux%llu", &entity, &intervalUs, &count) == 3 &&
             intervalUs > 0 && count > 0) {
    listener.eventIntervalNs = intervalUs * 1'000;
    listener.eventCount = count;
  } else {
    std::fprintf(stderr, "stub: %s: ENTITY:bytes=N (N >= %zu) or ENTITY:sse=MICROSECONDSxCOUNT\n",
                 argument, kBodyBytesMin);
    std::exit(2);
  }
  listener.fd = listenAnywhere();
  return listener;
}

}  // namespace

int main(int argc, char** argv) {
  prctl(PR_SET_PDEATHSIG, SIGTERM);
  prctl(PR_SET_TIMERSLACK, 1);
  std::vector<Listener> listeners;
  for (int i = 1; i < argc; ++i) listeners.push_back(makeListener(argv[i]));
  std::printf("{\"ports\":[");
  for (size_t i = 0; i < listeners.size(); ++i) {
    std::printf("%s%u", i == 0 ? "" : ",", portOf(listeners[i].fd));
  }
  std::printf("]}\n");
  std::fflush(stdout);
  Stub(std::move(listeners)).run();
}
