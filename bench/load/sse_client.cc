// Reads streams of events and says how long each event was under way.
//
// Every connection asks for a stream, reads it to its end and asks for the next. An event carries
// the time at which the stub wrote it (wire.h), on the clock that this program reads too. Prints
// one line of JSON.
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
#include <vector>

#include "../wire.h"
#include "client.h"
#include "http1/response_parser.h"

namespace {

using namespace pointsman;
using namespace pointsman::bench;

constexpr const char* kUsage =
    "usage: sse_client --port N [--path P] [--header 'Name: value']... [--connections N]\n"
    "  [--duration-ms N] [--body-bytes N]\n";
constexpr size_t kReadBytesMax = 65'536;
constexpr int kWaitMsMax = 20;

struct Stream {
  int fd = -1;
  ResponseParser parser;
  uint64_t eventNumber = 0;
  // Of an event that came in pieces.
  std::array<char, kEventBytes> event{};
  size_t eventBytes = 0;
};

class SseClient {
 public:
  explicit SseClient(const ClientOptions& options)
      : request_(makeRequest(options)), buffer_(kReadBytesMax), streams_(options.connections) {
    epollFd_ = epoll_create1(EPOLL_CLOEXEC);
    for (Stream& stream : streams_) {
      stream.fd = connectTo(options.port);
      if (stream.fd < 0) {
        std::fprintf(stderr, "sse_client: port %u: %s\n", options.port, std::strerror(errno));
        std::exit(1);
      }
      epoll_event event{};
      event.events = EPOLLIN;
      event.data.ptr = &stream;
      epoll_ctl(epollFd_, EPOLL_CTL_ADD, stream.fd, &event);
      ask(stream);
    }
  }

  void run(uint64_t durationMs) {
    const uint64_t startNs = nowNs();
    const uint64_t endNs = startNs + durationMs * 1'000'000;
    std::array<epoll_event, 64> events{};
    while (nowNs() < endNs) {
      const int count = epoll_wait(epollFd_, events.data(), events.size(), kWaitMsMax);
      for (int i = 0; i < count; ++i) {
        readFrom(*static_cast<Stream*>(events[static_cast<size_t>(i)].data.ptr));
      }
    }
    seconds_ = static_cast<double>(nowNs() - startNs) / 1e9;
  }

  void print() const {
    std::printf("{\"events\":%llu,\"streams\":%llu,\"failures\":%llu,\"seconds\":%.4f,",
                static_cast<unsigned long long>(delay_.total()),
                static_cast<unsigned long long>(streamsDone_),
                static_cast<unsigned long long>(failures_), seconds_);
    printHistogram("delay_us", delay_);
    std::printf("}\n");
  }

 private:
  void ask(Stream& stream) {
    stream.parser.reset(false);
    stream.eventNumber = 0;
    stream.eventBytes = 0;
    const ssize_t sent = send(stream.fd, request_.data(), request_.size(), MSG_NOSIGNAL);
    if (sent != static_cast<ssize_t>(request_.size())) fail(stream);
  }

  void readFrom(Stream& stream) {
    if (stream.fd < 0) return;
    const ssize_t got = recv(stream.fd, buffer_.data(), buffer_.size(), 0);
    if (got < 0 && (errno == EAGAIN || errno == EINTR)) return;
    if (got <= 0) return fail(stream);
    const uint64_t now = nowNs();
    std::string_view input(buffer_.data(), static_cast<size_t>(got));
    for (;;) {
      const ResponseParser::Step step = stream.parser.next(input);
      input.remove_prefix(step.consumed);
      switch (step.kind) {
        case StepKind::kNeedMore:
          return;
        case StepKind::kHead:
          if (stream.parser.status() != 200) return fail(stream);
          break;
        case StepKind::kBodyData:
          if (!readEvents(stream, step.body, now)) return fail(stream);
          break;
        case StepKind::kEnd:
          if (stream.eventBytes != 0 || !stream.parser.isReusable()) return fail(stream);
          ++streamsDone_;
          return ask(stream);
        case StepKind::kError:
          return fail(stream);
      }
    }
  }

  // False when the bytes are no events, or one is missing.
  bool readEvents(Stream& stream, std::string_view bytes, uint64_t now) {
    while (!bytes.empty()) {
      const size_t taken = std::min(bytes.size(), kEventBytes - stream.eventBytes);
      std::memcpy(stream.event.data() + stream.eventBytes, bytes.data(), taken);
      stream.eventBytes += taken;
      bytes.remove_prefix(taken);
      if (stream.eventBytes < kEventBytes) return true;
      stream.eventBytes = 0;
      const std::string_view event(stream.event.data(), kEventBytes);
      if (!event.starts_with(kEventStart) || !event.ends_with("\n\n")) return false;
      const std::string_view stamp = event.substr(kEventStart.size(), kEventStampDigits);
      const std::string_view number = event.substr(kEventStart.size() + kEventStampDigits);
      if (readNumber(number) != ++stream.eventNumber) return false;
      delay_.record(now - readNumber(stamp));
    }
    return true;
  }

  // The stream is over for good: a failure is a failed run, not something to measure.
  void fail(Stream& stream) {
    ++failures_;
    close(stream.fd);
    stream.fd = -1;
  }

  const std::string request_;
  std::vector<char> buffer_;
  int epollFd_ = -1;
  std::deque<Stream> streams_;
  uint64_t streamsDone_ = 0;
  uint64_t failures_ = 0;
  double seconds_ = 0;
  Histogram delay_;
};

}  // namespace

int main(int argc, char** argv) {
  prctl(PR_SET_PDEATHSIG, SIGTERM);
  const ClientOptions options = parseOptions(argc, argv, kUsage);
  SseClient client(options);
  client.run(options.durationMs);
  client.print();
  return 0;
}
