// Deadlines on a clock that the test moves.
#include "net/timer_wheel.h"

#include <deque>
#include <functional>

#include "core/rng.h"
#include "test/check.h"
#include "test/net/epoll_loop.h"

namespace {

using pointsman::kTickMs;
using pointsman::Timer;
using pointsman::TimerWheel;
using pointsman::test::EpollLoop;

class TestTimer final : public Timer {
 public:
  explicit TestTimer(EpollLoop& loop) : loop_(loop) {}
  uint32_t fired = 0;
  uint64_t firedAtMs = 0;
  std::function<void()> onFire{};

 private:
  void onTimeout() noexcept override {
    fired++;
    firedAtMs = loop_.nowMs();
    CHECK(firedAtMs >= deadlineMs());
    if (onFire) onFire();
  }
  EpollLoop& loop_;
};

void firesOnTime() {
  // Every phase of the clock and of the deadline against the ticks; beyond a turn of the wheel
  // (20,480 ms), too.
  for (uint64_t phase = 0; phase < 2 * kTickMs; phase += 3) {
    for (const uint64_t delay :
         {0U, 1U, 19U, 20U, 21U, 40U, 999U, 20'479U, 20'480U, 20'500U, 61'441U}) {
      EpollLoop loop;
      loop.jump(phase);
      TimerWheel wheel(loop);
      TestTimer timer(loop);
      const uint64_t due = loop.nowMs() + delay;
      wheel.arm(timer, due);
      loop.advance(delay + 2 * kTickMs);
      CHECK_EQUAL(timer.fired, 1U);
      CHECK(timer.firedAtMs >= due);
      CHECK(timer.firedAtMs < due + 2 * kTickMs);
      CHECK(!timer.armed());
      CHECK_EQUAL(wheel.armedCount(), 0U);
      CHECK(!loop.isTicking());
    }
  }
}

void movesDeadlines() {
  EpollLoop loop;
  TimerWheel wheel(loop);
  TestTimer timer(loop);
  const uint64_t start = loop.nowMs();
  wheel.arm(timer, start + 100);
  for (int i = 0; i < 200; i++) {
    loop.advance(20);
    wheel.arm(timer, loop.nowMs() + 100);
  }
  CHECK_EQUAL(timer.fired, 0U);
  const uint64_t last = loop.nowMs() + 100;
  loop.advance(200);
  CHECK_EQUAL(timer.fired, 1U);
  CHECK(timer.firedAtMs >= last && timer.firedAtMs < last + 2 * kTickMs);
  // Earlier than where it stands in the wheel.
  wheel.arm(timer, loop.nowMs() + 30'000);
  wheel.arm(timer, loop.nowMs() + 40);
  loop.advance(80);
  CHECK_EQUAL(timer.fired, 2U);
  // To and fro, the last word counts.
  wheel.arm(timer, loop.nowMs() + 60);
  wheel.arm(timer, loop.nowMs() + 5'000);
  wheel.arm(timer, loop.nowMs() + 200);
  loop.advance(180);
  CHECK_EQUAL(timer.fired, 2U);
  loop.advance(60);
  CHECK_EQUAL(timer.fired, 3U);
}

void cancels() {
  EpollLoop loop;
  TimerWheel wheel(loop);
  TestTimer timer(loop);
  TestTimer other(loop);
  wheel.cancel(timer);
  wheel.arm(timer, loop.nowMs() + 40);
  wheel.arm(other, loop.nowMs() + 40);
  CHECK_EQUAL(wheel.armedCount(), 2U);
  wheel.cancel(timer);
  wheel.cancel(timer);
  loop.advance(100);
  CHECK_EQUAL(timer.fired, 0U);
  CHECK_EQUAL(other.fired, 1U);
  CHECK_EQUAL(wheel.armedCount(), 0U);
}

void survivesCallbacks() {
  EpollLoop loop;
  TimerWheel wheel(loop);
  // All due in one visit; the first cancels its successor, arms its predecessor's slot and itself
  // again.
  std::deque<TestTimer> timers;
  for (int i = 0; i < 4; i++) timers.emplace_back(loop);
  const uint64_t due = loop.nowMs() + 50;
  for (TestTimer& timer : timers) wheel.arm(timer, due);
  timers[0].onFire = [&] {
    wheel.cancel(timers[1]);
    if (timers[0].fired < 3) wheel.arm(timers[0], loop.nowMs());
  };
  timers[2].onFire = [&] { wheel.arm(timers[3], loop.nowMs() + 20'480); };
  loop.advance(200);
  CHECK_EQUAL(timers[0].fired, 3U);
  CHECK_EQUAL(timers[1].fired, 0U);
  CHECK_EQUAL(timers[2].fired, 1U);
  CHECK_EQUAL(timers[3].fired, 0U);
  loop.advance(20'480);
  CHECK_EQUAL(timers[3].fired, 1U);
  CHECK_EQUAL(wheel.armedCount(), 0U);
}

void survivesStalls() {
  for (const uint64_t stall : {50U, 20'480U, 20'500U, 500'000U}) {
    EpollLoop loop;
    TimerWheel wheel(loop);
    std::deque<TestTimer> timers;
    for (uint64_t i = 0; i < 3'000; i++) {
      timers.emplace_back(loop);
      wheel.arm(timers.back(), loop.nowMs() + i * 10);
    }
    const uint64_t start = loop.nowMs();
    loop.jump(stall);
    uint64_t i = 0;
    for (const TestTimer& timer : timers) {
      const uint64_t due = start + i++ * 10;
      if (due > loop.nowMs()) CHECK_EQUAL(timer.fired, 0U);
      if (due + kTickMs <= loop.nowMs()) CHECK_EQUAL(timer.fired, 1U);
    }
    loop.advance(31'000);
    for (const TestTimer& timer : timers) CHECK_EQUAL(timer.fired, 1U);
  }
}

// Against a list of deadlines: random arms, moves, cancels and steps of the clock.
void agreesWithModel() {
  EpollLoop loop;
  TimerWheel wheel(loop);
  pointsman::Xoshiro256pp rng(42);
  std::deque<TestTimer> timers;
  for (int i = 0; i < 200; i++) timers.emplace_back(loop);
  for (int round = 0; round < 20'000; round++) {
    TestTimer& timer = timers[rng.next() % timers.size()];
    const uint64_t action = rng.next() % 8;
    if (action == 0) {
      wheel.cancel(timer);
      CHECK(!timer.armed());
    } else if (action < 6) {
      wheel.arm(timer, loop.nowMs() + rng.next() % (action == 1 ? 45'000 : 300));
    } else {
      loop.advance(rng.next() % 50);
      size_t armed = 0;
      for (const TestTimer& one : timers) {
        if (!one.armed()) continue;
        armed++;
        CHECK(one.deadlineMs() + 2 * kTickMs > loop.nowMs());
      }
      CHECK_EQUAL(wheel.armedCount(), armed);
    }
  }
  for (TestTimer& timer : timers) wheel.cancel(timer);
  CHECK(!loop.isTicking());
}

}  // namespace

int main() {
  firesOnTime();
  movesDeadlines();
  cancels();
  survivesCallbacks();
  survivesStalls();
  agreesWithModel();
  return pointsman::test::finishChecks();
}
