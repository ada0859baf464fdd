// Clients that hold on to a proxy and want little of it, many of them in one process with few
// wake-ups:
//
//   heads    send the head of a request by one byte a second, and come back when they are sent away
//   readers  ask for a large answer and do not read it
//   idle     say nothing
//   aborts   ask for a large answer and leave when its first bytes are there, every other one by a
//   reset; `rate` of
//            them a second begin
//
// Says "ready" when all connections are open (at once for aborts), goes on for `duration-ms`, and
// prints one line of JSON: how many were opened, how many the proxy ended, and after how long.
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string_view>
#include <vector>

#include "../wire.h"
#include "client.h"

namespace {

using namespace pointsman::bench;

constexpr const char* kUsage =
    "usage: crowd heads|readers|idle|aborts --port N [--path P] [--header 'Name: value']...\n"
    "  [--connections N] [--rate PER-SECOND] [--duration-ms N]\n";
constexpr uint64_t kNsPerMs = 1'000'000;
// A byte a second each, sent in so many groups, so that few wake-ups serve all.
constexpr size_t kGroups = 20;
constexpr uint64_t kGroupNs = 1'000 * kNsPerMs / kGroups;
// So small that an answer cannot be on its way whole when its reader leaves.
constexpr int kAbortReceiveBytes = 16 * 1024;

enum class Kind { kHeads, kReaders, kIdle, kAborts };

struct Guest {
  int fd = -1;
  uint64_t openedNs = 0;
  size_t headBytesSent = 0;
};

class Crowd {
 public:
  Crowd(Kind kind, const ClientOptions& options)
      : kind_(kind), options_(options), request_(makeRequest(options)) {
    epollFd_ = epoll_create1(EPOLL_CLOEXEC);
    guests_.resize(options_.connections);
    buffer_.resize(size_t{64} * 1024);
  }

  void run() {
    if (kind_ != Kind::kAborts) {
      for (Guest& guest : guests_) open(guest);
    }
    std::printf("ready\n");
    std::fflush(stdout);
    const uint64_t startNs = nowNs();
    const uint64_t endNs = startNs + options_.durationMs * kNsPerMs;
    uint64_t turn = 0;
    for (uint64_t now = startNs; now < endNs; now = nowNs()) {
      const uint64_t dueNs = startNs + turn * kGroupNs;
      if (now >= dueNs) {
        takeTurn(turn++);
        continue;
      }
      wait(static_cast<int>((std::min(dueNs, endNs) - now) / kNsPerMs) + 1);
    }
    for (Guest& guest : guests_) shut(guest, false);
  }

  void print() const {
    std::printf("{\"opened\":%llu,\"left\":%llu,\"ended\":%llu,\"refused\":%llu,",
                static_cast<unsigned long long>(opened_), static_cast<unsigned long long>(left_),
                static_cast<unsigned long long>(ended_), static_cast<unsigned long long>(refused_));
    std::printf("\"ended_after_ms\":{\"least\":%llu,\"most\":%llu}}\n",
                static_cast<unsigned long long>(ended_ == 0 ? 0 : leastNs_ / kNsPerMs),
                static_cast<unsigned long long>(mostNs_ / kNsPerMs));
  }

 private:
  void takeTurn(uint64_t turn) {
    if (kind_ == Kind::kAborts) return beginAborts(turn);
    if (kind_ != Kind::kHeads) return;
    for (size_t i = turn % kGroups; i < guests_.size(); i += kGroups) {
      Guest& guest = guests_[i];
      if (guest.fd < 0) {
        open(guest);
      } else {
        drip(guest);
      }
    }
  }

  void beginAborts(uint64_t turn) {
    const auto wanted = static_cast<uint64_t>(options_.rate * static_cast<double>(turn + 1) /
                                              static_cast<double>(kGroups));
    for (Guest& guest : guests_) {
      if (opened_ >= wanted) return;
      if (guest.fd < 0) open(guest);
    }
  }

  void open(Guest& guest) {
    guest.fd = connectTo(options_.port);
    if (guest.fd < 0) {
      ++refused_;
      return;
    }
    ++opened_;
    guest.openedNs = nowNs();
    guest.headBytesSent = 0;
    epoll_event event{};
    // What nobody reads would be reported again and again.
    event.events = kind_ == Kind::kReaders ? EPOLLRDHUP : EPOLLIN | EPOLLRDHUP;
    event.data.ptr = &guest;
    epoll_ctl(epollFd_, EPOLL_CTL_ADD, guest.fd, &event);
    if (kind_ == Kind::kAborts) {
      setsockopt(guest.fd, SOL_SOCKET, SO_RCVBUF, &kAbortReceiveBytes, sizeof kAbortReceiveBytes);
    }
    if (kind_ == Kind::kHeads) {
      drip(guest);
    } else if (kind_ != Kind::kIdle) {
      (void)!send(guest.fd, request_.data(), request_.size(), MSG_NOSIGNAL);
    }
  }

  // Stops before the end of the head, which would make it a request.
  void drip(Guest& guest) const {
    if (guest.headBytesSent + 1 >= request_.find("\r\n\r\n")) return;
    (void)!send(guest.fd, request_.data() + guest.headBytesSent++, 1, MSG_NOSIGNAL);
  }

  void wait(int timeoutMs) {
    const int count =
        epoll_wait(epollFd_, events_.data(), static_cast<int>(events_.size()), timeoutMs);
    for (int i = 0; i < count; ++i) {
      Guest& guest = *static_cast<Guest*>(events_[static_cast<size_t>(i)].data.ptr);
      if (guest.fd >= 0) serve(guest, events_[static_cast<size_t>(i)].events);
    }
  }

  void serve(Guest& guest, uint32_t events) {
    const ssize_t got =
        kind_ == Kind::kReaders ? 0 : recv(guest.fd, buffer_.data(), buffer_.size(), 0);
    if (got < 0 && (errno == EAGAIN || errno == EINTR)) return;
    const bool isGone = got <= 0 || (events & (EPOLLERR | EPOLLHUP)) != 0;
    if (kind_ == Kind::kAborts && !isGone) {
      shut(guest, left_++ % 2 == 0);
    } else if (isGone) {
      const uint64_t livedNs = nowNs() - guest.openedNs;
      leastNs_ = std::min(leastNs_, livedNs);
      mostNs_ = std::max(mostNs_, livedNs);
      ++ended_;
      shut(guest, false);
      if (kind_ == Kind::kReaders || kind_ == Kind::kIdle) open(guest);
    }
  }

  static void shut(Guest& guest, bool byReset) {
    if (guest.fd < 0) return;
    if (byReset) {
      const linger now{.l_onoff = 1, .l_linger = 0};
      setsockopt(guest.fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
    }
    close(guest.fd);
    guest.fd = -1;
  }

  const Kind kind_;
  const ClientOptions& options_;
  const std::string request_;
  std::vector<char> buffer_;
  int epollFd_ = -1;
  std::array<epoll_event, 64> events_{};
  std::vector<Guest> guests_;
  uint64_t opened_ = 0;
  uint64_t left_ = 0;
  uint64_t ended_ = 0;
  uint64_t refused_ = 0;
  uint64_t leastNs_ = UINT64_MAX;
  uint64_t mostNs_ = 0;
};

Kind kindOf(std::string_view name) {
  if (name == "heads") return Kind::kHeads;
  if (name == "readers") return Kind::kReaders;
  if (name == "idle") return Kind::kIdle;
  if (name == "aborts") return Kind::kAborts;
  std::fputs(kUsage, stderr);
  std::exit(2);
}

// As many descriptors as the system lets us have.
void raiseDescriptors() {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
}

}  // namespace

int main(int argc, char** argv) {
  prctl(PR_SET_PDEATHSIG, SIGTERM);
  raiseDescriptors();
  const Kind kind = kindOf(argc > 1 ? argv[1] : "");
  const ClientOptions options = parseOptions(argc - 1, argv + 1, kUsage);
  Crowd crowd(kind, options);
  crowd.run();
  crowd.print();
  return 0;
}
