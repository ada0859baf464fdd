#include "net/uv_loop.h"

#include <new>

#include "net/timer_wheel.h"

namespace pointsman {

struct Loop::Watch {
  uv_poll_t handle{};
  UvLoop* loop = nullptr;
  IoWatcher* watcher = nullptr;
  uint32_t events = 0;
};

namespace {

int toUv(uint32_t events) noexcept {
  return ((events & kReadable) != 0 ? UV_READABLE : 0) |
         ((events & kWritable) != 0 ? UV_WRITABLE : 0);
}

template <class Handle>
uv_handle_t* asHandle(Handle* handle) noexcept {
  return reinterpret_cast<uv_handle_t*>(handle);  // NOLINT: libuv's own idiom of inheritance
}

}  // namespace

UvLoop::UvLoop(uv_loop_t* loop) noexcept : loop_(loop) {
  uv_timer_init(loop_, &timer_);
  uv_idle_init(loop_, &idle_);
  timer_.data = idle_.data = this;
  // Ticks alone must not keep a process alive.
  uv_unref(asHandle(&timer_));
}

UvLoop::~UvLoop() {
  deferred_.run();
}

void UvLoop::close(void (*onClosed)(void*), void* argument) noexcept {
  onClosed_ = onClosed;
  onClosedArgument_ = argument;
  deferred_.run();
  uv_close(asHandle(&timer_), onHandleClosed);
  uv_close(asHandle(&idle_), onHandleClosed);
}

Loop::Watch* UvLoop::watch(int fd, uint32_t events, IoWatcher* watcher) noexcept {
  auto* watch = new (std::nothrow) Watch();
  if (watch == nullptr) return nullptr;
  watch->loop = this;
  watch->watcher = watcher;
  watch->events = events;
  watch->handle.data = watch;
  if (uv_poll_init(loop_, &watch->handle, fd) != 0) {
    delete watch;
    return nullptr;
  }
  openHandles_++;
  uv_poll_start(&watch->handle, toUv(events), onPoll);
  return watch;
}

void UvLoop::change(Watch* watch, uint32_t events) noexcept {
  watch->events = events;
  uv_poll_start(&watch->handle, toUv(events), onPoll);
}

void UvLoop::unwatch(Watch* watch) noexcept {
  watch->watcher = nullptr;
  uv_close(asHandle(&watch->handle), onWatchClosed);
}

void UvLoop::defer(Deferred* task) noexcept {
  deferred_.add(*task);
  // libuv ignores the start of a handle that is closing or active.
  if (onClosed_ == nullptr) uv_idle_start(&idle_, onIdle);
}

void UvLoop::undefer(Deferred* task) noexcept {
  deferred_.remove(*task);
}

uint64_t UvLoop::nowMs() const noexcept {
  return uv_now(loop_);
}

void UvLoop::startTicks(TickListener* listener) noexcept {
  ticks_ = listener;
  uv_timer_start(&timer_, onTimer, kTickMs, kTickMs);
}

void UvLoop::stopTicks() noexcept {
  uv_timer_stop(&timer_);
}

void UvLoop::onPoll(uv_poll_t* handle, int status, int events) {
  auto* watch = static_cast<Watch*>(handle->data);
  if (watch->watcher == nullptr) return;
  if (status < 0) {
    // An error on the descriptor is found by whoever reads or writes it. libuv has stopped the
    // handle; the watcher may have more to read than it takes at once, so it goes on unless it was
    // unwatched.
    watch->watcher->onIo(watch->events);
    if (watch->watcher != nullptr) uv_poll_start(handle, toUv(watch->events), onPoll);
    return;
  }
  watch->watcher->onIo(((events & UV_READABLE) != 0 ? kReadable : 0) |
                       ((events & UV_WRITABLE) != 0 ? kWritable : 0));
}

void UvLoop::onWatchClosed(uv_handle_t* handle) {
  auto* watch = static_cast<Watch*>(handle->data);
  UvLoop* loop = watch->loop;
  delete watch;
  loop->handleClosed();
}

void UvLoop::onTimer(uv_timer_t* handle) {
  auto* loop = static_cast<UvLoop*>(handle->data);
  loop->ticks_->onTick(loop->nowMs());
}

void UvLoop::onIdle(uv_idle_t* handle) {
  uv_idle_stop(handle);
  static_cast<UvLoop*>(handle->data)->deferred_.run();
}

void UvLoop::onHandleClosed(uv_handle_t* handle) {
  static_cast<UvLoop*>(handle->data)->handleClosed();
}

void UvLoop::handleClosed() noexcept {
  if (--openHandles_ == 0 && onClosed_ != nullptr) onClosed_(onClosedArgument_);
}

}  // namespace pointsman
