// Keep-alive connections of one address.
//
//            acquire                      release(reusable)
//   (none) ─────────► Connecting ─► Busy ─────────► Idle ──┐
//                                    ▲  │ acquire (LIFO)   │ bytes, FIN, error, idle too long
//                                    └──┼──────────────────┘
//                                       ▼ release(not reusable), failure, cancel
//                                     Closed (freed in the next turn of the loop)
//
// A connection carries one exchange at a time. It goes back to Idle only after a complete answer
// that allows reuse and with nothing behind it; while Idle it stays watched, and whatever arrives
// then closes it: bytes that nobody asked for must not be taken for the next answer. Idle
// connections hear of their events before anybody else of the turn, so what had arrived when the
// turn began closes a connection before a request of that turn can get it. One that was released in
// the same turn has not been through such a look yet: those come last, and after a recv with
// MSG_PEEK, as does every one that is wanted in libuv's phase, when the look is older. (Peeking
// before every use costs a system call per request and only narrows the gap between look and use:
// bytes may be on their way.) Else the last connection used is used first: the others age and are
// evicted. Thread: the loop's. The pool owns its connections.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <span>

#include "net/loop.h"
#include "net/timer_wheel.h"

namespace pointsman {

class Address;
class Engine;
class ConnectionPool;

// Idle connections kept per address and worker.
constexpr size_t kIdleConnectionsPerAddressMax = 256;
// Connections of any state per address and worker; beyond it a request gets no connection.
constexpr size_t kConnectionsPerAddressMax = 4096;
// Who uses a busy connection. Calls arrive from the loop, never from inside a pool call.
class ConnectionUser {
 public:
  // `failedWith` is an errno, 0 when the connection is up.
  virtual void onConnected(int failedWith) noexcept = 0;
  virtual void onReadable() noexcept = 0;
  virtual void onWritable() noexcept = 0;

 protected:
  ~ConnectionUser() = default;
};

class Connection final : public IoWatcher, private Timer, private Deferred {
 public:
  enum class State : uint8_t { kConnecting, kBusy, kIdle, kClosed };

  Connection(ConnectionPool& pool, int fd) noexcept : pool_(pool), fd_(fd) {}

  int fd() const noexcept { return fd_; }
  State state() const noexcept { return state_; }
  // True when an earlier exchange was completed on it.
  bool reused() const noexcept { return exchangesDone_ > 0; }
  // Events reported to the user while Busy. A busy connection starts with kReadable.
  void watchFor(uint32_t events) noexcept;
  // As recv(2), for the user of a busy connection.
  ssize_t receive(std::span<char> buffer) noexcept;
  // The user leaves more to read than it took.
  void readAgain() noexcept;

  void onIo(uint32_t events) noexcept override;

 private:
  friend class ConnectionPool;
  void onTimeout() noexcept override;
  void onDeferred() noexcept override;
  // Bytes, an end or an error, by asking the kernel.
  bool holdsBytes() const noexcept;

  ConnectionPool& pool_;
  int fd_;
  State state_ = State::kConnecting;
  uint32_t watched_ = 0;
  uint32_t exchangesDone_ = 0;
  // Since the last look at how far the kernel has let the window grow.
  size_t receivedBytes_ = 0;
  Loop::Watch* watch_ = nullptr;
  // Borrowed; null unless Connecting or Busy.
  ConnectionUser* user_ = nullptr;
  // Turn of the loop in which it became Idle.
  uint64_t releasedIn_ = 0;
  // In one of the idle lists, most recently used first.
  Connection* newer_ = nullptr;
  Connection* older_ = nullptr;
};

class ConnectionPool {
 public:
  struct Acquired {
    // nullptr: `failedWith` says why (EMFILE, ENOBUFS, EAGAIN at the connection limit, ...).
    Connection* connection = nullptr;
    int failedWith = 0;
  };

  ConnectionPool(Engine& engine, Address& address) noexcept : engine_(engine), address_(address) {}
  ~ConnectionPool();
  ConnectionPool(const ConnectionPool&) = delete;
  ConnectionPool& operator=(const ConnectionPool&) = delete;

  // An idle connection (Busy at once), unless `fresh`; else a new one (Connecting: onConnected
  // follows).
  Acquired acquire(ConnectionUser& user, uint64_t connectTimeoutMs, bool fresh) noexcept;
  // Ends the use. `reusable` only after a complete answer with nothing behind it.
  void release(Connection& connection, bool reusable, uint64_t idleTimeoutMs) noexcept;
  // Closes every idle connection; busy ones close when they are released.
  void drain() noexcept;

  size_t idleCount() const noexcept { return idle_; }
  size_t openCount() const noexcept { return open_; }

 private:
  friend class Connection;
  // Idle connections, most recently used first.
  struct IdleList {
    Connection* newest = nullptr;
    Connection* oldest = nullptr;
    void add(Connection& connection) noexcept;
    void remove(Connection& connection) noexcept;
    // All of `newer` in front of these.
    void prepend(IdleList& newer) noexcept;
  };

  Connection* takeIdle() noexcept;
  void settleReleased() noexcept;
  Connection* connect(int& failedWith) noexcept;
  int openSocket() noexcept;
  void unlinkIdle(Connection& connection) noexcept;
  void close(Connection& connection) noexcept;
  static void resetIfUnsent(int fd) noexcept;
  void finishConnect(Connection& connection, int failedWith) noexcept;

  Engine& engine_;
  Address& address_;
  // Those of earlier turns, and those released in turn `releasedIn_`.
  IdleList settled_;
  IdleList released_;
  uint64_t releasedIn_ = 0;
  size_t idle_ = 0;
  size_t open_ = 0;
  bool draining_ = false;
};

}  // namespace pointsman
