// The descriptors of a loop, on an epoll instance of their own.
//
// Edge-triggered, and what a watch wants is kept here rather than in the kernel: pausing and going
// on costs no system call, and a descriptor that was handed out is not looked at again by the next
// wait. The price is a rule for watchers: who leaves a readable descriptor before it said EAGAIN or
// gave less than it was asked for calls `readAgain`, and who wants kWritable has been told EAGAIN
// before. What is wanted anew is reported once without being asked of the kernel, so a watcher
// must be able to find nothing. A hang-up and urgent data are reported until a read has come to
// them, because they lie behind what came before.
//
// Watches that want kFirst (those of idle connections) hear of their events before all others of
// the same wait. Thread: the loop's. Owns its watches; descriptors are the callers'.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

#include "net/loop.h"

struct epoll_event;

namespace pointsman {

class Poller {
 public:
  Poller() noexcept;
  ~Poller();
  Poller(const Poller&) = delete;
  Poller& operator=(const Poller&) = delete;

  Loop::Watch* watch(int fd, uint32_t events, IoWatcher* watcher) noexcept;
  // For a descriptor whose events are somebody else's to take: reported by every wait while they
  // last.
  Loop::Watch* watchLevel(int fd, IoWatcher* watcher) noexcept;
  void change(Loop::Watch* watch, uint32_t events) noexcept;
  void unwatch(Loop::Watch* watch) noexcept;
  void readAgain(Loop::Watch* watch) noexcept;
  bool takeBack(Loop::Watch* watch) noexcept;

  // Begins a turn: waits for the first event, `timeoutMs` at most (-1: for ever; not at all when a
  // watch is to be read again), and collects all there are.
  void collect(int timeoutMs) noexcept;
  // Tells the watchers. How many were told.
  size_t handOut() noexcept;
  uint64_t turnNumber() const noexcept { return turn_; }
  size_t size() const noexcept { return watches_; }

 private:
  Loop::Watch* add(int fd, uint32_t events, IoWatcher* watcher, bool isLevel) noexcept;
  bool growEvents() noexcept;
  void tell(const epoll_event& event) noexcept;
  void tellOne(Loop::Watch& watch, uint32_t events) noexcept;
  size_t tellAgain() noexcept;
  void queue(Loop::Watch* watch, uint32_t events) noexcept;
  void unqueue(Loop::Watch* watch) noexcept;
  void freeDead() noexcept;

  int fd_;
  uint64_t turn_ = 0;
  size_t watches_ = 0;
  // One for each watch, so that a wait leaves nothing behind that is ready.
  std::unique_ptr<epoll_event[]> events_;
  size_t eventsMax_ = 0;
  size_t collected_ = 0;
  // What was collected is of a moment ago; in libuv's phase, or before the wait, it may be old.
  bool isHandingOut_ = false;
  // To be reported again, oldest first.
  Loop::Watch* firstAgain_ = nullptr;
  Loop::Watch* lastAgain_ = nullptr;
  // Unwatched; collected events may still point at them until the wait is over.
  Loop::Watch* dead_ = nullptr;
};

}  // namespace pointsman
