// What the exchange engine needs of an event loop, and nothing else.
//
// Descriptors are the poller's (poller.h) in both of its kinds: in the worker it runs inside
// libuv's loop (uv_loop.h), in tests and fuzzers under a clock of theirs, so that everything above
// this line is exercised under sanitizers without Node. One thread; no call may throw.
#pragma once

#include <cstdint>

#include "net/deferred.h"

namespace pointsman {

constexpr uint32_t kReadable = 1;
constexpr uint32_t kWritable = 2;
// Beside others, in what is wanted: this watcher hears of its events before those without it do of
// the same turn's.
constexpr uint32_t kFirst = 4;

// The far side has ended the connection, or it broke, for who does not read: reading finds that out
// by itself, but only behind what came before.
constexpr uint32_t kHangUp = 8;

// Gets the events of one descriptor. Errors and hang-ups arrive as the events that were asked for.
// An event is told once: see poller.h for what a watcher must do, and that it may find nothing.
class IoWatcher {
 public:
  virtual void onIo(uint32_t events) noexcept = 0;

 protected:
  ~IoWatcher() = default;
};

class TickListener {
 public:
  virtual void onTick(uint64_t nowMs) noexcept = 0;

 protected:
  ~TickListener() = default;
};

class Loop {
 public:
  // Watch of one descriptor, made by `watch`, dead after `unwatch`.
  struct Watch;

  virtual ~Loop() = default;
  // nullptr when the kernel or memory refuses. The descriptor stays the caller's and must outlive
  // the watch.
  virtual Watch* watch(int fd, uint32_t events, IoWatcher* watcher) noexcept = 0;
  // `events` may be 0: nothing is reported, not even a hang-up.
  virtual void change(Watch* watch, uint32_t events) noexcept = 0;
  // The watcher is not called again, not even for events that are already collected.
  virtual void unwatch(Watch* watch) noexcept = 0;
  // Reports kReadable once more in the next turn: there may be more than was read.
  virtual void readAgain(Watch* watch) noexcept = 0;
  // Takes back what is to be reported once more. False if there was something, or if the loop has
  // not just looked at its descriptors: then only a look tells whether this one holds bytes.
  virtual bool takeBack(Watch* watch) noexcept = 0;
  // Number of the turn; events of one turn were all there when it began.
  virtual uint64_t turnNumber() const noexcept = 0;
  virtual void defer(Deferred* task) noexcept = 0;
  // Takes the task back; no effect when it is not deferred.
  virtual void undefer(Deferred* task) noexcept = 0;
  // Monotonic milliseconds, cached per turn.
  virtual uint64_t nowMs() const noexcept = 0;
  // Calls the listener every `kTickMs` until stopped; at most one listener.
  virtual void startTicks(TickListener* listener) noexcept = 0;
  virtual void stopTicks() noexcept = 0;
};

}  // namespace pointsman
