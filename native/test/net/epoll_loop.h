// The Loop of the C++ tests: the worker's poller, and a clock that only the test moves.
//
// Events are real, time is not: a test waits for what it expects with `runUntil` and moves time
// with `advance`, so no test depends on how fast the machine is. `runUntil` gives up after
// kPatienceMs of real time.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>

#include "net/loop.h"
#include "net/poller.h"

namespace pointsman::test {

class EpollLoop final : public Loop {
 public:
  static constexpr int kPatienceMs = 10'000;

  EpollLoop() = default;
  ~EpollLoop() override;
  EpollLoop(const EpollLoop&) = delete;
  EpollLoop& operator=(const EpollLoop&) = delete;

  Watch* watch(int fd, uint32_t events, IoWatcher* watcher) noexcept override;
  void change(Watch* watch, uint32_t events) noexcept override { poller_.change(watch, events); }
  void unwatch(Watch* watch) noexcept override { poller_.unwatch(watch); }
  void readAgain(Watch* watch) noexcept override { poller_.readAgain(watch); }
  bool takeBack(Watch* watch) noexcept override { return poller_.takeBack(watch); }
  uint64_t turnNumber() const noexcept override { return poller_.turnNumber(); }
  void defer(Deferred* task) noexcept override;
  void undefer(Deferred* task) noexcept override;
  uint64_t nowMs() const noexcept override { return nowMs_; }
  void startTicks(TickListener* listener) noexcept override { ticks_ = listener; }
  void stopTicks() noexcept override { ticks_ = nullptr; }

  // One turn: deferred tasks, then events. `waitMs` bounds the wait for the first event. True when
  // something ran.
  bool turn(int waitMs = 0);
  // False when the condition did not come true in time.
  bool runUntil(const std::function<bool()>& isTrue);
  // Turns until nothing is left to do.
  void settle();
  // Moves the clock in steps of a tick, with the tick and a turn after every step.
  void advance(uint64_t ms);
  // Moves the clock at once: one tick call, as after a stall of the process.
  void jump(uint64_t ms);

  size_t watchCount() const noexcept { return poller_.size(); }
  size_t deferredCount() const noexcept { return deferred_.size(); }
  bool isTicking() const noexcept { return ticks_ != nullptr; }

 private:
  bool runDeferred();
  void tick();

  Poller poller_;
  uint64_t nowMs_ = 1'000'003;
  TickListener* ticks_ = nullptr;
  DeferredQueue deferred_;
};

}  // namespace pointsman::test
