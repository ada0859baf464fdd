// The Loop of a worker: a poller that runs inside libuv's loop.
//
// libuv's own polling costs a nested call and a list operation per event and cannot say where one
// look at the kernel ends and the next begins. So the poller does the waiting: before libuv would
// poll, this loop waits on its own descriptors and libuv's together (uv_backend_fd, made for being
// embedded) and goes round for as long as libuv has nothing to do: no event, no timer, no handle
// that wants its turn (uv_backend_timeout). Then libuv gets a turn in which it does not wait. So JS
// and everything else of Node runs as ever, a turn's events later at most.
//
// A process has one loop like this that watches descriptors: two of them would wait past each
// other, so `watch` of a second one fails. Ticks are one repeating timer of libuv. Only this file
// of net includes uv.h. Thread: that of the uv_loop.
#pragma once

#include <uv.h>

#include "net/loop.h"
#include "net/poller.h"

namespace pointsman {

class UvLoop final : public Loop, private IoWatcher {
 public:
  explicit UvLoop(uv_loop_t* loop) noexcept;
  ~UvLoop() override;
  UvLoop(const UvLoop&) = delete;
  UvLoop& operator=(const UvLoop&) = delete;

  // Closes all own handles; `onClosed` runs when libuv has let go of every one of them. No watch
  // may be left.
  void close(void (*onClosed)(void* argument), void* argument) noexcept;

  Watch* watch(int fd, uint32_t events, IoWatcher* watcher) noexcept override;
  void change(Watch* watch, uint32_t events) noexcept override { poller_.change(watch, events); }
  void unwatch(Watch* watch) noexcept override;
  void readAgain(Watch* watch) noexcept override { poller_.readAgain(watch); }
  bool takeBack(Watch* watch) noexcept override { return poller_.takeBack(watch); }
  uint64_t turnNumber() const noexcept override { return poller_.turnNumber(); }
  void defer(Deferred* task) noexcept override;
  void undefer(Deferred* task) noexcept override { deferred_.remove(*task); }
  uint64_t nowMs() const noexcept override { return uv_now(loop_); }
  void startTicks(TickListener* listener) noexcept override;
  void stopTicks() noexcept override;

 private:
  static void onPrepare(uv_prepare_t* handle);
  static void onTimer(uv_timer_t* handle);
  static void onIdle(uv_idle_t* /*handle*/) {}
  static void onHandleClosed(uv_handle_t* handle);
  // libuv's descriptor is readable.
  void onIo(uint32_t events) noexcept override;
  bool isPolling() const noexcept { return libuv_ != nullptr; }
  bool startPolling() noexcept;
  void stopPolling() noexcept;
  void startIdle() noexcept;
  void run() noexcept;

  uv_loop_t* loop_;
  uv_timer_t timer_{};
  uv_prepare_t prepare_{};
  // While active, libuv does not wait.
  uv_idle_t idle_{};
  TickListener* ticks_ = nullptr;
  DeferredQueue deferred_;
  Poller poller_;
  // Watch of libuv's descriptor, while there are others.
  Watch* libuv_ = nullptr;
  bool libuvReady_ = false;
  bool isRunning_ = false;
  size_t openHandles_ = 3;
  void (*onClosed_)(void*) = nullptr;
  void* onClosedArgument_ = nullptr;
};

}  // namespace pointsman
