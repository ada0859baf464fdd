// The Loop on libuv: what a worker runs on. Only this file of net includes uv.h.
//
// Watches are uv_poll handles (the engine reads and writes descriptors itself), ticks one repeating
// timer, deferred work an idle handle that runs before the loop polls again. Handles are closed the
// libuv way and freed in their close callbacks, which `close` leaves time for.
// Thread: that of the
// uv_loop.
#pragma once

#include <uv.h>

#include "net/loop.h"

namespace pointsman {

class UvLoop final : public Loop {
 public:
  explicit UvLoop(uv_loop_t* loop) noexcept;
  ~UvLoop() override;
  UvLoop(const UvLoop&) = delete;
  UvLoop& operator=(const UvLoop&) = delete;

  // Closes all own handles; `onClosed` runs when libuv has let go of every one of them. No watch
  // may be left.
  void close(void (*onClosed)(void* argument), void* argument) noexcept;

  Watch* watch(int fd, uint32_t events, IoWatcher* watcher) noexcept override;
  void change(Watch* watch, uint32_t events) noexcept override;
  void unwatch(Watch* watch) noexcept override;
  void defer(Deferred* task) noexcept override;
  void undefer(Deferred* task) noexcept override;
  uint64_t nowMs() const noexcept override;
  void startTicks(TickListener* listener) noexcept override;
  void stopTicks() noexcept override;

 private:
  static void onPoll(uv_poll_t* handle, int status, int events);
  static void onWatchClosed(uv_handle_t* handle);
  static void onTimer(uv_timer_t* handle);
  static void onIdle(uv_idle_t* handle);
  static void onHandleClosed(uv_handle_t* handle);
  void handleClosed() noexcept;

  uv_loop_t* loop_;
  uv_timer_t timer_{};
  uv_idle_t idle_{};
  TickListener* ticks_ = nullptr;
  DeferredQueue deferred_;
  // Handles libuv still holds: timer, idle and watches on their way out.
  size_t openHandles_ = 2;
  void (*onClosed_)(void*) = nullptr;
  void* onClosedArgument_ = nullptr;
};

}  // namespace pointsman
