// Calls the admin port at a fixed pace over one kept-alive connection.
//
// A program of its own, and not JavaScript, because it shares a core with the load whose latency is
// measured: a call costs this core some 20 us, mostly the kernel's. The texts of the requests are
// made by whoever starts it and are sent in turn. One call at a time: a call that is still under
// way when the next is due delays that one and those behind it, and none is left out.
//
// Prints one line of JSON. Exit code 0 also when calls failed; `failures` says how many.
#include <poll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <fstream>
#include <iterator>
#include <string>
#include <string_view>
#include <vector>

#include "../load/client.h"
#include "../wire.h"
#include "http1/response_parser.h"

namespace {

using namespace pointsman;
using namespace pointsman::bench;

constexpr const char* kUsage =
    "usage: caller --port N --per-second N --duration-ms N --request FILE...\n"
    "FILE holds one request, head and body, as it is sent\n";
constexpr int kPatienceMs = 15'000;
constexpr uint64_t kNsPerS = 1'000'000'000;

struct Options {
  uint16_t port = 0;
  double perSecond = 10;
  uint64_t durationMs = 1'000;
  std::vector<std::string> requests;
};

[[noreturn]] void refuse(const char* what) {
  std::fprintf(stderr, "caller: %s\n%s", what, kUsage);
  std::exit(2);
}

std::string contentOf(const char* path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) refuse(path);
  return {std::istreambuf_iterator<char>(file), {}};
}

Options parse(int argc, char** argv) {
  Options options;
  for (int i = 1; i + 1 < argc; i += 2) {
    const std::string_view name = argv[i];
    const char* value = argv[i + 1];
    if (name == "--port") {
      options.port = static_cast<uint16_t>(std::strtoul(value, nullptr, 10));
    } else if (name == "--per-second") {
      options.perSecond = std::strtod(value, nullptr);
    } else if (name == "--duration-ms") {
      options.durationMs = std::strtoul(value, nullptr, 10);
    } else if (name == "--request") {
      options.requests.push_back(contentOf(value));
    } else {
      refuse(argv[i]);
    }
  }
  if (options.port == 0 || options.requests.empty() || !(options.perSecond > 0)) {
    refuse("an option is missing");
  }
  return options;
}

void sleepUntil(uint64_t ns) {
  const timespec due{.tv_sec = static_cast<time_t>(ns / kNsPerS),
                     .tv_nsec = static_cast<long>(ns % kNsPerS)};
  while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &due, nullptr) == EINTR) {
  }
}

class Caller {
 public:
  explicit Caller(const Options& options) : options_(options), fd_(connectTo(options.port)) {
    if (fd_ < 0) refuse(std::strerror(errno));
  }

  void run() {
    const uint64_t startNs = nowNs();
    const auto total = static_cast<uint64_t>(options_.perSecond *
                                             static_cast<double>(options_.durationMs) / 1'000);
    for (uint64_t number = 0; number < total; ++number) {
      sleepUntil(startNs +
                 static_cast<uint64_t>(static_cast<double>(number) * 1e9 / options_.perSecond));
      const uint64_t sentNs = nowNs();
      const bool isRight = ask(options_.requests[number % options_.requests.size()]);
      durations_.record(nowNs() - sentNs);
      if (isRight) continue;
      ++failures_;
      // Whatever is left of the answer is not that of the next call.
      close(fd_);
      fd_ = connectTo(options_.port);
      if (fd_ < 0) return;
    }
    sleepUntil(startNs + options_.durationMs * 1'000'000);
  }

  void print() const {
    std::printf("{\"calls\":%llu,\"failures\":%llu,",
                static_cast<unsigned long long>(durations_.total()),
                static_cast<unsigned long long>(failures_));
    printHistogram("call_us", durations_);
    std::printf("}\n");
  }

 private:
  // Whether the answer came whole, with status 200, and the connection can go on.
  bool ask(std::string_view request) {
    while (!request.empty()) {
      const ssize_t sent = send(fd_, request.data(), request.size(), MSG_NOSIGNAL);
      if (sent < 0 && errno == EAGAIN && isReady(POLLOUT)) continue;
      if (sent < 0) return false;
      request.remove_prefix(static_cast<size_t>(sent));
    }
    parser_.reset(false);
    while (isReady(POLLIN)) {
      const ssize_t got = recv(fd_, buffer_.data(), buffer_.size(), 0);
      if (got <= 0) return false;
      std::string_view input(buffer_.data(), static_cast<size_t>(got));
      for (;;) {
        const ResponseParser::Step step = parser_.next(input);
        input.remove_prefix(step.consumed);
        if (step.kind == StepKind::kNeedMore) break;
        if (step.kind == StepKind::kError) return false;
        if (step.kind == StepKind::kEnd) {
          return parser_.status() == 200 && parser_.isReusable() && input.empty();
        }
      }
    }
    return false;
  }

  bool isReady(short events) const {
    pollfd one{.fd = fd_, .events = events, .revents = 0};
    return poll(&one, 1, kPatienceMs) > 0;
  }

  const Options& options_;
  int fd_ = -1;
  ResponseParser parser_;
  std::array<char, size_t{64} * 1024> buffer_{};
  Histogram durations_;
  uint64_t failures_ = 0;
};

}  // namespace

int main(int argc, char** argv) {
  prctl(PR_SET_PDEATHSIG, SIGTERM);
  prctl(PR_SET_TIMERSLACK, 1);
  const Options options = parse(argc, argv);
  Caller caller(options);
  caller.run();
  caller.print();
  return 0;
}
