// One hashed timer wheel per engine: arming, moving and cancelling a deadline are O(1) and allocate
// nothing.
//
//   slots_[tick % kSlots] -> list of timers whose *visit* is due at that tick
//
// A deadline that moves later (every read of a body moves one) only changes the timer's field; the
// wheel finds out when it visits the old slot and links the timer again. That is why a body of a
// million reads costs no list work. Deadlines are met less than two ticks after they are due, never
// before.
// Thread: the loop's. Timers are owned by their users and must be cancelled before they
// die.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "net/loop.h"

namespace pointsman {

constexpr uint64_t kTickMs = 20;

class TimerWheel;

class Timer {
 public:
  Timer() = default;
  Timer(const Timer&) = delete;
  Timer& operator=(const Timer&) = delete;

  bool armed() const noexcept { return next_ != nullptr; }
  uint64_t deadlineMs() const noexcept { return deadlineMs_; }

 protected:
  ~Timer() = default;
  virtual void onTimeout() noexcept = 0;

 private:
  friend class TimerWheel;
  Timer* prev_ = nullptr;
  Timer* next_ = nullptr;
  uint64_t deadlineMs_ = 0;
  uint64_t visitMs_ = 0;
};

class TimerWheel final : public TickListener {
 public:
  explicit TimerWheel(Loop& loop) noexcept;
  ~TimerWheel();
  TimerWheel(const TimerWheel&) = delete;
  TimerWheel& operator=(const TimerWheel&) = delete;

  // Sets or moves the deadline (monotonic ms of the loop).
  void arm(Timer& timer, uint64_t deadlineMs) noexcept;
  void cancel(Timer& timer) noexcept;
  size_t armedCount() const noexcept { return armed_; }

  void onTick(uint64_t nowMs) noexcept override;

 private:
  static constexpr size_t kSlots = 1024;

  class Head final : public Timer {
   public:
    void onTimeout() noexcept override {}
  };

  void link(Timer& timer) noexcept;
  static void unlink(Timer& timer) noexcept;
  void visit(size_t slot, uint64_t nowMs) noexcept;

  Loop& loop_;
  std::array<Head, kSlots> slots_;
  // Timers of the slot under visit; a callback may cancel any of them.
  Head due_;
  uint64_t visitedTick_;
  size_t armed_ = 0;
};

}  // namespace pointsman
