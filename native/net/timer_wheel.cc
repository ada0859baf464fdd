#include "net/timer_wheel.h"

#include <algorithm>

namespace pointsman {

TimerWheel::TimerWheel(Loop& loop) noexcept : loop_(loop), visitedTick_(loop.nowMs() / kTickMs) {
  for (Head& head : slots_) head.prev_ = head.next_ = &head;
  due_.prev_ = due_.next_ = &due_;
}

TimerWheel::~TimerWheel() {
  if (armed_ > 0) loop_.stopTicks();
}

void TimerWheel::arm(Timer& timer, uint64_t deadlineMs) noexcept {
  timer.deadlineMs_ = deadlineMs;
  if (timer.armed()) {
    if (deadlineMs >= timer.visitMs_) return;
    unlink(timer);
  } else if (armed_++ == 0) {
    visitedTick_ = loop_.nowMs() / kTickMs;
    loop_.startTicks(this);
  }
  link(timer);
}

void TimerWheel::cancel(Timer& timer) noexcept {
  if (!timer.armed()) return;
  unlink(timer);
  if (--armed_ == 0) loop_.stopTicks();
}

void TimerWheel::onTick(uint64_t nowMs) noexcept {
  const uint64_t tick = nowMs / kTickMs;
  // After a stall longer than a turn of the wheel, one turn visits every slot.
  uint64_t steps = std::min<uint64_t>(tick - std::min(tick, visitedTick_), kSlots);
  uint64_t at = tick - steps;
  visitedTick_ = tick;
  while (steps-- > 0 && armed_ > 0) visit(static_cast<size_t>(++at % kSlots), nowMs);
}

void TimerWheel::visit(size_t slot, uint64_t nowMs) noexcept {
  Head& head = slots_[slot];
  if (head.next_ == &head) return;
  // Moved aside first: a callback may arm timers into this very slot.
  due_.next_ = head.next_;
  due_.prev_ = head.prev_;
  due_.next_->prev_ = &due_;
  due_.prev_->next_ = &due_;
  head.prev_ = head.next_ = &head;
  while (due_.next_ != &due_) {
    Timer& timer = *due_.next_;
    unlink(timer);
    if (timer.deadlineMs_ > nowMs) {
      link(timer);
      continue;
    }
    if (--armed_ == 0) loop_.stopTicks();
    timer.onTimeout();
  }
}

void TimerWheel::link(Timer& timer) noexcept {
  // Rounded up, and never into the slot that was visited last.
  const uint64_t tick = std::max((timer.deadlineMs_ + kTickMs - 1) / kTickMs, visitedTick_ + 1);
  timer.visitMs_ = tick * kTickMs;
  Head& head = slots_[static_cast<size_t>(tick % kSlots)];
  timer.prev_ = head.prev_;
  timer.next_ = &head;
  head.prev_->next_ = &timer;
  head.prev_ = &timer;
}

void TimerWheel::unlink(Timer& timer) noexcept {
  timer.prev_->next_ = timer.next_;
  timer.next_->prev_ = timer.prev_;
  timer.prev_ = timer.next_ = nullptr;
}

}  // namespace pointsman
