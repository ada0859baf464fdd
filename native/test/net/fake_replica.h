// A replica that does what it is told: a real listening socket on the test's own loop.
//
// It records every byte and plays one script per accepted connection. Scripts are queued with
// `play`; a connection that finds none gets the last one again. TCP on 127.0.0.1 and a free port,
// or a unix socket.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "net/loop.h"

namespace pointsman::test {

struct ReplicaStep {
  enum class Kind : uint8_t {
    kSend,
    kWaitBytes,
    kWaitRequest,
    kFinish,  // FIN: no more is sent
    kClose,   // both directions
    kReset,   // RST
    kStall,   // does nothing more, but reads
    kStopReading,
    kReadSlowly,
    kNextPacket,  // waits until what was sent so far can have been read
  };
  Kind kind;
  std::string bytes{};
  // WaitBytes: received in all. Send: at most so many bytes a turn, 0 for all at once. ReadSlowly:
  // bytes a turn.
  size_t count = 0;
};

using ReplicaScript = std::vector<ReplicaStep>;

inline ReplicaStep send(std::string_view bytes, size_t pieceBytes = 0) {
  return {.kind = ReplicaStep::Kind::kSend, .bytes = std::string(bytes), .count = pieceBytes};
}
inline ReplicaStep waitBytes(size_t count) {
  return {.kind = ReplicaStep::Kind::kWaitBytes, .count = count};
}
// A whole request, framed by Content-Length or chunked.
inline ReplicaStep waitRequest() {
  return {.kind = ReplicaStep::Kind::kWaitRequest};
}
inline ReplicaStep finish() {
  return {.kind = ReplicaStep::Kind::kFinish};
}
inline ReplicaStep closeBoth() {
  return {.kind = ReplicaStep::Kind::kClose};
}
inline ReplicaStep reset() {
  return {.kind = ReplicaStep::Kind::kReset};
}
inline ReplicaStep stall() {
  return {.kind = ReplicaStep::Kind::kStall};
}
inline ReplicaStep stopReading() {
  return {.kind = ReplicaStep::Kind::kStopReading};
}
inline ReplicaStep nextPacket() {
  return {.kind = ReplicaStep::Kind::kNextPacket};
}
inline ReplicaStep readSlowly(size_t bytesPerTurn) {
  return {.kind = ReplicaStep::Kind::kReadSlowly, .count = bytesPerTurn};
}

// Where the request that starts at the front of `bytes` ends; 0 when it is not complete.
size_t requestEnd(std::string_view bytes);

class FakeReplica;

// The replica's side of one connection. Lives as long as the replica, also when it is closed.
class ReplicaConnection final : private IoWatcher, private Deferred {
 public:
  ReplicaConnection(Loop& loop, int fd, ReplicaScript script);
  ~ReplicaConnection();
  ReplicaConnection(const ReplicaConnection&) = delete;
  ReplicaConnection& operator=(const ReplicaConnection&) = delete;

  const std::string& received() const { return received_; }
  // Requests that arrived whole.
  std::vector<std::string> requests() const;
  // The peer sent FIN or RST.
  bool isPeerGone() const { return isPeerGone_; }
  // RST came, not FIN.
  bool isReset() const { return isReset_; }
  bool isOpen() const { return fd_ >= 0; }
  size_t sentBytes() const { return sentBytes_; }
  // Every step is done, or only a Stall is left.
  bool isPlayed() const { return isDone() || script_[step_].kind == ReplicaStep::Kind::kStall; }
  // More steps for a connection that did its script.
  void append(const ReplicaScript& more);
  // The same at once, without a turn of the loop.
  void appendNow(const ReplicaScript& more);
  // With a StopReading or ReadSlowly behind it.
  void readOn();
  // RST now, whatever the script says.
  void abort() { shut(true); }

 private:
  void onIo(uint32_t events) noexcept override;
  void onDeferred() noexcept override;
  bool isDone() const { return step_ == script_.size(); }
  void play();
  bool playStep(ReplicaStep& step);
  bool sendSome(ReplicaStep& step);
  void readSome();
  void noteGone(bool isReset);
  void shut(bool isReset);
  void watchAsNeeded();

  Loop& loop_;
  int fd_;
  Loop::Watch* watch_ = nullptr;
  ReplicaScript script_;
  size_t step_ = 0;
  size_t stepSent_ = 0;
  // End of the last request a WaitRequest took.
  size_t requestsEnd_ = 0;
  std::string received_;
  size_t sentBytes_ = 0;
  size_t readBytesPerTurn_ = SIZE_MAX;
  bool wantsWrite_ = false;
  bool isReading_ = true;
  bool isPeerGone_ = false;
  bool isReset_ = false;
};

class FakeReplica final : private IoWatcher {
 public:
  // Listens on 127.0.0.1. `backlog` as for listen(2).
  explicit FakeReplica(Loop& loop, int backlog = 64);
  // On a unix socket at this path.
  FakeReplica(Loop& loop, const std::string& path);
  ~FakeReplica();
  FakeReplica(const FakeReplica&) = delete;
  FakeReplica& operator=(const FakeReplica&) = delete;

  // Literal for Address: "127.0.0.1" or "unix:/path".
  const std::string& host() const { return host_; }
  uint16_t port() const { return port_; }

  void play(ReplicaScript script) { scripts_.push_back(std::move(script)); }
  void stopAccepting();
  void closeListener();

  size_t connectionCount() const { return connections_.size(); }
  ReplicaConnection& connection(size_t index) { return *connections_[index]; }
  ReplicaConnection& last() { return *connections_.back(); }
  // Whole requests over all connections.
  size_t requestCount() const;

 private:
  void onIo(uint32_t events) noexcept override;
  void listenOn(int fd);

  Loop& loop_;
  int listenFd_ = -1;
  Loop::Watch* watch_ = nullptr;
  std::string host_;
  std::string path_;
  uint16_t port_ = 0;
  std::deque<ReplicaScript> scripts_;
  ReplicaScript lastScript_;
  std::vector<std::unique_ptr<ReplicaConnection>> connections_;
};

// A listening descriptor on a free port of 127.0.0.1, not blocking; the caller's to close.
int listenOnLoopback(int backlog, uint16_t& port);

// A port of 127.0.0.1 where nobody listens: bound, not listening, until the object dies.
class RefusingPort {
 public:
  RefusingPort();
  ~RefusingPort();
  RefusingPort(const RefusingPort&) = delete;
  RefusingPort& operator=(const RefusingPort&) = delete;
  uint16_t port() const { return port_; }

 private:
  int fd_;
  uint16_t port_ = 0;
};

}  // namespace pointsman::test
