#include "test/net/epoll_loop.h"

#include <chrono>

#include "net/sys.h"
#include "net/timer_wheel.h"

namespace pointsman::test {

EpollLoop::~EpollLoop() {
  while (runDeferred()) {
  }
}

Loop::Watch* EpollLoop::watch(int fd, uint32_t events, IoWatcher* watcher) noexcept {
  if (sys::faultOf("watch") != 0) return nullptr;
  return poller_.watch(fd, events, watcher);
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
  poller_.collect(hasRun || !deferred_.empty() ? 0 : waitMs);
  return poller_.handOut() > 0 || hasRun;
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

}  // namespace pointsman::test
