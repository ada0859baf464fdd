#include "net/uv_loop.h"

#include "net/timer_wheel.h"

namespace pointsman {

namespace {

// The one that polls.
const UvLoop* polling = nullptr;  // NOLINT: of the process, as the wait is

template <class Handle>
uv_handle_t* asHandle(Handle* handle) noexcept {
  return reinterpret_cast<uv_handle_t*>(handle);  // NOLINT: libuv's own idiom of inheritance
}

}  // namespace

UvLoop::UvLoop(uv_loop_t* loop) noexcept : loop_(loop) {
  uv_timer_init(loop_, &timer_);
  uv_prepare_init(loop_, &prepare_);
  uv_idle_init(loop_, &idle_);
  timer_.data = prepare_.data = idle_.data = this;
  uv_prepare_start(&prepare_, onPrepare);
  // Ticks and waits alone must not keep a process alive.
  uv_unref(asHandle(&timer_));
  uv_unref(asHandle(&prepare_));
}

UvLoop::~UvLoop() {
  deferred_.run();
}

void UvLoop::close(void (*onClosed)(void*), void* argument) noexcept {
  onClosed_ = onClosed;
  onClosedArgument_ = argument;
  deferred_.run();
  uv_close(asHandle(&timer_), onHandleClosed);
  uv_close(asHandle(&prepare_), onHandleClosed);
  uv_close(asHandle(&idle_), onHandleClosed);
}

Loop::Watch* UvLoop::watch(int fd, uint32_t events, IoWatcher* watcher) noexcept {
  if (!isPolling() && !startPolling()) return nullptr;
  Watch* made = poller_.watch(fd, events, watcher);
  if (made == nullptr && poller_.size() == 1) stopPolling();
  return made;
}

void UvLoop::unwatch(Watch* watch) noexcept {
  poller_.unwatch(watch);
  if (poller_.size() == 1) stopPolling();
}

// Watched descriptors keep the process alive, as handles of libuv would.
bool UvLoop::startPolling() noexcept {
  if (polling != nullptr) return false;
  libuv_ = poller_.watchLevel(uv_backend_fd(loop_), this);
  if (libuv_ == nullptr) return false;
  polling = this;
  uv_ref(asHandle(&prepare_));
  return true;
}

void UvLoop::stopPolling() noexcept {
  poller_.unwatch(libuv_);
  libuv_ = nullptr;
  polling = nullptr;
  uv_unref(asHandle(&prepare_));
}

void UvLoop::defer(Deferred* task) noexcept {
  deferred_.add(*task);
  if (!isRunning_) startIdle();
}

void UvLoop::startTicks(TickListener* listener) noexcept {
  ticks_ = listener;
  uv_timer_start(&timer_, onTimer, kTickMs, kTickMs);
}

void UvLoop::stopTicks() noexcept {
  uv_timer_stop(&timer_);
}

void UvLoop::onPrepare(uv_prepare_t* handle) {
  static_cast<UvLoop*>(handle->data)->run();
}

// Every turn: what was put off, then events. libuv's turn comes when it has something to do, and
// then it must not wait: it knows nothing of our descriptors.
void UvLoop::run() noexcept {
  uv_idle_stop(&idle_);
  isRunning_ = true;
  for (;;) {
    deferred_.run();
    if (!isPolling()) break;
    // What was handed out took time; a timer may be due by now.
    uv_update_time(loop_);
    const int libuvWaits = uv_backend_timeout(loop_);
    libuvReady_ = false;
    poller_.collect(deferred_.empty() ? libuvWaits : 0);
    uv_update_time(loop_);
    poller_.handOut();
    if (libuvReady_ || libuvWaits == 0 || uv_backend_timeout(loop_) == 0) break;
  }
  isRunning_ = false;
  if (isPolling() || !deferred_.empty()) startIdle();
}

// libuv ignores the start of a handle that is closing or active.
void UvLoop::startIdle() noexcept {
  if (onClosed_ == nullptr) uv_idle_start(&idle_, onIdle);
}

void UvLoop::onIo(uint32_t /*events*/) noexcept {
  libuvReady_ = true;
}

void UvLoop::onTimer(uv_timer_t* handle) {
  auto* loop = static_cast<UvLoop*>(handle->data);
  loop->ticks_->onTick(loop->nowMs());
}

void UvLoop::onHandleClosed(uv_handle_t* handle) {
  auto* loop = static_cast<UvLoop*>(handle->data);
  if (--loop->openHandles_ == 0 && loop->onClosed_ != nullptr) {
    loop->onClosed_(loop->onClosedArgument_);
  }
}

}  // namespace pointsman
