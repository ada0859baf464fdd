// Accepts from inherited listening sockets and hands the connections to uWebSockets.js.
//
// The sockets themselves belong to the supervisor: a worker that dies leaves the queued connections
// to the next. Accepting stops while `connectionsMax` connections are open, and for kPauseMs when
// descriptors run out, instead of spinning on a descriptor that stays readable; one descriptor is
// kept in reserve so that the process can still work then.
// Thread: the loop's.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "net/loop.h"
#include "net/timer_wheel.h"
#include "uws/attachment.h"

namespace pointsman {

class Acceptor final : private Timer {
 public:
  // Accepted per readable event, so that a flood of connects does not starve the open ones.
  static constexpr int kAcceptsPerEventMax = 32;
  static constexpr uint64_t kPauseMs = 100;

  // `open` is raised and lowered with every connection; it may lie in shared memory.
  Acceptor(Loop& loop, TimerWheel& wheel, Attachment& attachment, uint32_t& open) noexcept
      : loop_(loop), wheel_(wheel), attachment_(attachment), open_(open) {}
  ~Acceptor() { stop(); }
  Acceptor(const Acceptor&) = delete;
  Acceptor& operator=(const Acceptor&) = delete;

  // Takes the descriptor over. False when it cannot be watched.
  bool start(int listenFd, uint32_t connectionsMax);
  // Accepts no more; open connections go on. Closes the descriptors of this process only.
  void stop() noexcept;
  // One of the accepted connections is closed.
  void onConnectionClosed() noexcept;

 private:
  struct Listener final : public IoWatcher {
    Listener(Acceptor& owner, int descriptor) noexcept : acceptor(owner), fd(descriptor) {}
    void onIo(uint32_t /*events*/) noexcept override { acceptor.acceptFrom(*this); }

    Acceptor& acceptor;
    int fd;
    Loop::Watch* watch = nullptr;
  };

  void onTimeout() noexcept override;
  void acceptFrom(Listener& listener) noexcept;
  bool acceptOne(int listenFd) noexcept;
  void setWatched(bool watched) noexcept;
  void watchAsNeeded() noexcept;

  Loop& loop_;
  TimerWheel& wheel_;
  Attachment& attachment_;
  std::vector<std::unique_ptr<Listener>> listeners_;
  int reserveFd_ = -1;
  uint32_t& open_;
  uint32_t openMax_ = 0;
};

}  // namespace pointsman
