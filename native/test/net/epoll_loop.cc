#include "test/net/epoll_loop.h"

#include <sys/epoll.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <cstdlib>

#include "net/sys.h"
#include "net/timer_wheel.h"
#include "test/net/faults.h"

namespace pointsman {

struct Loop::Watch {
  int fd = -1;
  uint32_t events = 0;
  IoWatcher* watcher = nullptr;
};

namespace test {

namespace {

uint32_t toEpoll(uint32_t events) {
  return ((events & kReadable) != 0 ? static_cast<uint32_t>(EPOLLIN) : 0) |
         ((events & kWritable) != 0 ? static_cast<uint32_t>(EPOLLOUT) : 0);
}

}  // namespace

EpollLoop::EpollLoop() : epollFd_(epoll_create1(EPOLL_CLOEXEC)) {
  if (epollFd_ < 0) std::abort();
}

EpollLoop::~EpollLoop() {
  while (runDeferred()) {
  }
  close(epollFd_);
}

Loop::Watch* EpollLoop::watch(int fd, uint32_t events, IoWatcher* watcher) noexcept {
  if (sys::faultOf("watch") != 0) return nullptr;
  const FaultsSuspended own;
  auto* made = new Watch{.fd = fd, .events = 0, .watcher = watcher};
  watches_++;
  change(made, events);
  return made;
}

// Without events the descriptor leaves epoll, which would report a hang-up even then.
void EpollLoop::change(Watch* watch, uint32_t events) noexcept {
  if (watch->events == events) return;
  const int operation = watch->events == 0 ? EPOLL_CTL_ADD
                        : events == 0      ? EPOLL_CTL_DEL
                                           : EPOLL_CTL_MOD;
  epoll_event event{};
  event.events = toEpoll(events);
  event.data.ptr = watch;
  if (epoll_ctl(epollFd_, operation, watch->fd, &event) != 0) std::abort();
  watch->events = events;
}

void EpollLoop::unwatch(Watch* watch) noexcept {
  const FaultsSuspended own;
  change(watch, 0);
  watch->watcher = nullptr;
  watches_--;
  dead_.emplace_back(watch);
}

void EpollLoop::defer(Deferred* task) noexcept {
  deferred_.add(*task);
}

void EpollLoop::undefer(Deferred* task) noexcept {
  deferred_.remove(*task);
}

bool EpollLoop::runDeferred() {
  const bool isAny = !deferred_.empty();
  deferred_.run();
  return isAny;
}

bool EpollLoop::turn(int waitMs) {
  const bool hasRun = runDeferred();
  std::array<epoll_event, 64> events{};
  const int count = epoll_wait(epollFd_, events.data(), static_cast<int>(events.size()),
                               hasRun || !deferred_.empty() ? 0 : waitMs);
  for (int i = 0; i < count; i++) {
    const epoll_event& event = events[static_cast<size_t>(i)];
    const auto* watch = static_cast<const Watch*>(event.data.ptr);
    if (watch->watcher == nullptr) continue;
    uint32_t seen = ((event.events & EPOLLIN) != 0 ? kReadable : 0) |
                    ((event.events & EPOLLOUT) != 0 ? kWritable : 0);
    if ((event.events & (EPOLLERR | EPOLLHUP)) != 0) seen = watch->events;
    if (seen != 0) watch->watcher->onIo(seen);
  }
  dead_.clear();
  return hasRun || count > 0;
}

bool EpollLoop::runUntil(const std::function<bool()>& isTrue) {
  using Clock = std::chrono::steady_clock;
  const auto end = Clock::now() + std::chrono::milliseconds(kPatienceMs);
  while (!isTrue()) {
    if (Clock::now() > end) return false;
    turn(20);
  }
  return true;
}

void EpollLoop::settle() {
  // Loopback delivers at once as a rule; the short wait is for a softirq that was put off.
  while (turn(2)) {
  }
}

void EpollLoop::advance(uint64_t ms) {
  while (ms > 0) {
    const uint64_t step = ms < kTickMs ? ms : kTickMs;
    nowMs_ += step;
    ms -= step;
    tick();
    turn();
  }
}

void EpollLoop::jump(uint64_t ms) {
  nowMs_ += ms;
  tick();
}

void EpollLoop::tick() {
  if (ticks_ != nullptr) ticks_->onTick(nowMs_);
}

}  // namespace test
}  // namespace pointsman
