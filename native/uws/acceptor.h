// Accepts from inherited listening sockets and hands the connections on.
//
// The sockets themselves belong to the supervisor: a worker that dies leaves the queued connections
// to the next. While `connectionsMax` connections are open, further ones are told 503 and closed:
// waiting in a queue that may never move is worse than an answer. When descriptors run out,
// accepting stops for kPauseMs instead of spinning on a descriptor that stays readable; one
// descriptor is kept in reserve so that the process can still work then.
// Thread: the loop's.
#pragma once

#include <sys/socket.h>

#include <cstdint>
#include <memory>
#include <vector>

#include "core/shared_block.h"
#include "net/loop.h"
#include "net/timer_wheel.h"

namespace pointsman {

// Who gets the accepted connections.
class ConnectionSink {
 public:
  // Takes the descriptor over. False: it is closed already.
  virtual bool onAccepted(int fd, const sockaddr_storage& peer) noexcept = 0;

 protected:
  ~ConnectionSink() = default;
};

class Acceptor final : private Timer {
 public:
  // Accepted per readable event, so that a flood of connects does not starve the open ones.
  static constexpr int kAcceptsPerEventMax = 32;
  // Taken from each socket at the end, though new ones keep coming; its queue (LISTEN_BACKLOG) is
  // not longer.
  static constexpr int kWaitingMax = 4096;
  static constexpr uint64_t kPauseMs = 100;
  // Refused connections that are held open so that the refusal can be read before the reset.
  static constexpr size_t kRefusedHeldMax = 64;
  // Descriptors for everything but clients and replicas.
  static constexpr uint64_t kDescriptorsReserved = 128;

  // Counts connections in `header`, which may lie in shared memory.
  Acceptor(Loop& loop, TimerWheel& wheel, ConnectionSink& sink, ColumnHeader& header) noexcept
      : loop_(loop), wheel_(wheel), sink_(sink), header_(header) {}
  ~Acceptor() { stop(); }
  Acceptor(const Acceptor&) = delete;
  Acceptor& operator=(const Acceptor&) = delete;

  // Takes the descriptor over. At most `connectionsMax` are open over all descriptors, and no more
  // than half of the descriptors that the process may have: each may need one to a replica. False
  // when it cannot be watched.
  bool start(int listenFd, uint32_t connectionsMax);
  // Accepts what waits in the sockets now: the last process that has them resets it with its close.
  void takeWaiting() noexcept;
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
  void refuse(int fd) noexcept;
  void closeRefused() noexcept;
  void setWatched(bool watched) noexcept;

  Loop& loop_;
  TimerWheel& wheel_;
  ConnectionSink& sink_;
  ColumnHeader& header_;
  std::vector<std::unique_ptr<Listener>> listeners_;
  int reserveFd_ = -1;
  uint32_t openMax_ = 0;
  std::vector<int> refused_;
};

}  // namespace pointsman
