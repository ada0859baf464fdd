#include "net/poller.h"

#include <sys/epoll.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <new>

namespace pointsman {

struct Loop::Watch {
  int fd = -1;
  // What is wanted, and what the kernel was told to report.
  uint32_t wanted = 0;
  uint32_t mask = 0;
  bool isLevel = false;
  // The kernel told of more behind (kMoreBehind): the next reading is followed by another one.
  bool isMoreOwed = false;
  // The far side has gone, whatever may still be there to be read.
  bool isHungUp = false;
  // nullptr once unwatched.
  IoWatcher* watcher = nullptr;
  // Queued to be reported again: with what, and since which turn; 0: not queued.
  uint32_t again = 0;
  uint64_t againSince = 0;
  Watch* earlier = nullptr;
  // In the queue, or among the dead.
  Watch* later = nullptr;
};

namespace {

// There may be more behind what one read takes: the end, or what follows an urgent byte, in front
// of which a read stops.
constexpr uint32_t kGone = EPOLLRDHUP | EPOLLHUP | EPOLLERR;
constexpr uint32_t kMoreBehind = kGone | EPOLLPRI;
constexpr size_t kEventsMin = 64;

// Errors and hang-ups are found by whoever reads or writes.
uint32_t seenIn(uint32_t events) noexcept {
  return ((events & (EPOLLIN | kMoreBehind)) != 0 ? kReadable : 0) |
         ((events & (EPOLLOUT | EPOLLHUP | EPOLLERR)) != 0 ? kWritable : 0) |
         ((events & kGone) != 0 ? kHangUp : 0);
}

}  // namespace

Poller::Poller() noexcept : fd_(epoll_create1(EPOLL_CLOEXEC)) {}

Poller::~Poller() {
  freeDead();
  if (fd_ >= 0) close(fd_);
}

bool Poller::growEvents() noexcept {
  if (watches_ < eventsMax_) return true;
  const size_t larger = std::max(kEventsMin, eventsMax_ * 2);
  std::unique_ptr<epoll_event[]> events(new (std::nothrow) epoll_event[larger]);
  if (events == nullptr) return false;
  // A wait may be handing out the old ones, from inside which this is called.
  if (events_ != nullptr) std::copy_n(events_.get(), eventsMax_, events.get());
  events_ = std::move(events);
  eventsMax_ = larger;
  return true;
}

Loop::Watch* Poller::add(int fd, uint32_t events, IoWatcher* watcher, bool isLevel) noexcept {
  if (!growEvents()) return nullptr;
  std::unique_ptr<Loop::Watch> made(new (std::nothrow) Loop::Watch());
  if (made == nullptr) return nullptr;
  made->fd = fd;
  made->wanted = events;
  made->isLevel = isLevel;
  made->watcher = watcher;
  made->mask = EPOLLIN;
  if (!isLevel) made->mask |= EPOLLRDHUP | EPOLLPRI | static_cast<uint32_t>(EPOLLET);
  if ((events & kWritable) != 0) made->mask |= EPOLLOUT;
  epoll_event event{};
  event.events = made->mask;
  event.data.ptr = made.get();
  if (epoll_ctl(fd_, EPOLL_CTL_ADD, fd, &event) != 0) return nullptr;
  watches_++;
  // Until unwatched, and from then on among the dead.
  return made.release();
}

Loop::Watch* Poller::watch(int fd, uint32_t events, IoWatcher* watcher) noexcept {
  return add(fd, events, watcher, false);
}

Loop::Watch* Poller::watchLevel(int fd, IoWatcher* watcher) noexcept {
  return add(fd, kReadable, watcher, true);
}

void Poller::change(Loop::Watch* watch, uint32_t events) noexcept {
  const uint32_t possible = kReadable | kWritable | (watch->isHungUp ? kHangUp : 0);
  const uint32_t gained = events & ~watch->wanted & possible;
  watch->wanted = events;
  if (gained == 0) return;
  if ((gained & kWritable) != 0 && (watch->mask & EPOLLOUT) == 0) {
    watch->mask |= EPOLLOUT;
    epoll_event event{};
    event.events = watch->mask;
    event.data.ptr = watch;
    // The kernel looks at the descriptor anew and reports all that holds.
    if (epoll_ctl(fd_, EPOLL_CTL_MOD, watch->fd, &event) == 0) return;
  }
  queue(watch, gained);
}

void Poller::unwatch(Loop::Watch* watch) noexcept {
  epoll_event none{};
  (void)epoll_ctl(fd_, EPOLL_CTL_DEL, watch->fd, &none);
  unqueue(watch);
  watch->watcher = nullptr;
  watch->later = dead_;
  dead_ = watch;
  watches_--;
}

void Poller::readAgain(Loop::Watch* watch) noexcept {
  queue(watch, kReadable);
}

bool Poller::takeBack(Loop::Watch* watch) noexcept {
  const bool isQueued = watch->again != 0;
  unqueue(watch);
  return isHandingOut_ && !isQueued;
}

void Poller::queue(Loop::Watch* watch, uint32_t events) noexcept {
  if (watch->again == 0) {
    watch->againSince = turn_;
    watch->earlier = lastAgain_;
    watch->later = nullptr;
    (lastAgain_ != nullptr ? lastAgain_->later : firstAgain_) = watch;
    lastAgain_ = watch;
  }
  watch->again |= events;
}

void Poller::unqueue(Loop::Watch* watch) noexcept {
  if (watch->again == 0) return;
  watch->again = 0;
  (watch->earlier != nullptr ? watch->earlier->later : firstAgain_) = watch->later;
  (watch->later != nullptr ? watch->later->earlier : lastAgain_) = watch->earlier;
}

void Poller::collect(int timeoutMs) noexcept {
  turn_++;
  collected_ = 0;
  // An array that cannot grow is large enough for the watches there are; only the next one is not.
  if (!growEvents() && events_ == nullptr) return;
  const int got = epoll_wait(fd_, events_.get(), static_cast<int>(eventsMax_),
                             firstAgain_ != nullptr ? 0 : timeoutMs);
  if (got > 0) collected_ = static_cast<size_t>(got);
}

size_t Poller::handOut() noexcept {
  isHandingOut_ = true;
  // By index, and each event copied: `watch` may grow the array meanwhile.
  for (size_t i = 0; i < collected_; i++) {
    const epoll_event event = events_[i];
    if ((static_cast<const Loop::Watch*>(event.data.ptr)->wanted & kFirst) == 0) continue;
    events_[i].data.ptr = nullptr;
    tell(event);
  }
  const size_t again = tellAgain();
  for (size_t i = 0; i < collected_; i++) {
    const epoll_event event = events_[i];
    if (event.data.ptr != nullptr) tell(event);
  }
  freeDead();
  isHandingOut_ = false;
  return collected_ + again;
}

void Poller::tell(const epoll_event& event) noexcept {
  auto* watch = static_cast<Loop::Watch*>(event.data.ptr);
  if (watch->watcher == nullptr) return;
  const bool isMoreBehind = (event.events & kMoreBehind) != 0 && !watch->isLevel;
  const uint32_t seen = seenIn(event.events) & watch->wanted;
  if (isMoreBehind) watch->isMoreOwed = true;
  if ((event.events & kGone) != 0) watch->isHungUp = true;
  if (seen != 0) tellOne(*watch, seen);
}

// What lies behind is owed until a watcher that reads on has left nothing in front of it: a read as
// long as it was asked for, or a pause, and it is behind as before.
void Poller::tellOne(Loop::Watch& watch, uint32_t events) noexcept {
  const bool owed = watch.isMoreOwed && (events & kReadable) != 0;
  watch.watcher->onIo(events);
  if (!owed || watch.watcher == nullptr) return;
  const bool leftMore = (watch.again & kReadable) != 0 || (watch.wanted & kReadable) == 0;
  if (!leftMore) watch.isMoreOwed = false;
  queue(&watch, kReadable);
}

// Those that were queued before this turn.
size_t Poller::tellAgain() noexcept {
  size_t count = 0;
  while (firstAgain_ != nullptr && firstAgain_->againSince < turn_) {
    Loop::Watch* watch = firstAgain_;
    const uint32_t events = watch->again & watch->wanted;
    unqueue(watch);
    if (events == 0) continue;
    count++;
    tellOne(*watch, events);
  }
  return count;
}

void Poller::freeDead() noexcept {
  while (dead_ != nullptr) {
    const std::unique_ptr<Loop::Watch> watch(dead_);
    dead_ = watch->later;
  }
}

}  // namespace pointsman
