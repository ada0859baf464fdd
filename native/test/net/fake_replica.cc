#include "test/net/fake_replica.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <cstdlib>
#include <cstring>

#include "test/net/faults.h"

namespace pointsman::test {

namespace {

uint16_t bindToFreePort(int fd) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t bytes = sizeof address;
  auto* generic = reinterpret_cast<sockaddr*>(&address);  // NOLINT: the socket API's own idiom
  if (bind(fd, generic, bytes) != 0 || getsockname(fd, generic, &bytes) != 0) std::abort();
  return ntohs(address.sin_port);
}

// Behind the last chunk of the body at the front of `body`, or 0.
size_t chunkedEnd(std::string_view body) {
  size_t at = 0;
  for (;;) {
    const size_t lineEnd = body.find("\r\n", at);
    if (lineEnd == std::string_view::npos) return 0;
    size_t size = 0;
    const auto read = std::from_chars(body.data() + at, body.data() + lineEnd, size, 16);
    if (read.ec != std::errc() || read.ptr != body.data() + lineEnd) std::abort();
    at = lineEnd + 2 + size + 2;
    if (at > body.size()) return 0;
    if (size == 0) return at;
  }
}

}  // namespace

int listenOnLoopback(int backlog, uint16_t& port) {
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  port = bindToFreePort(fd);
  if (listen(fd, backlog) != 0) std::abort();
  return fd;
}

size_t requestEnd(std::string_view bytes) {
  const size_t headEnd = bytes.find("\r\n\r\n");
  if (headEnd == std::string_view::npos) return 0;
  const size_t headBytes = headEnd + 4;
  const std::string_view head = bytes.substr(0, headBytes);
  if (head.find("\r\ntransfer-encoding: chunked\r\n") != std::string_view::npos) {
    const size_t end = chunkedEnd(bytes.substr(headBytes));
    return end == 0 ? 0 : headBytes + end;
  }
  constexpr std::string_view kLength = "\r\ncontent-length: ";
  const size_t field = head.find(kLength);
  size_t length = 0;
  if (field != std::string_view::npos) {
    std::from_chars(head.data() + field + kLength.size(), head.data() + head.size(), length);
  }
  return bytes.size() < headBytes + length ? 0 : headBytes + length;
}

ReplicaConnection::ReplicaConnection(Loop& loop, int fd, ReplicaScript script)
    : loop_(loop), fd_(fd), script_(std::move(script)) {
  const int on = 1;
  (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  const FaultsSuspended own;
  watch_ = loop_.watch(fd_, kReadable, this);
  loop_.defer(this);
}

ReplicaConnection::~ReplicaConnection() {
  loop_.undefer(this);
  shut(false);
}

std::vector<std::string> ReplicaConnection::requests() const {
  std::vector<std::string> found;
  std::string_view rest = received_;
  while (const size_t end = requestEnd(rest)) {
    found.emplace_back(rest.substr(0, end));
    rest.remove_prefix(end);
  }
  return found;
}

void ReplicaConnection::append(const ReplicaScript& more) {
  script_.insert(script_.end(), more.begin(), more.end());
  loop_.defer(this);
}

void ReplicaConnection::appendNow(const ReplicaScript& more) {
  script_.insert(script_.end(), more.begin(), more.end());
  play();
}

void ReplicaConnection::readOn() {
  isReading_ = true;
  readBytesPerTurn_ = SIZE_MAX;
  watchAsNeeded();
}

void ReplicaConnection::onIo(uint32_t events) noexcept {
  const FaultsSuspended own;
  if ((events & kReadable) != 0 && isReading_) readSome();
  if (isOpen()) play();
}

void ReplicaConnection::onDeferred() noexcept {
  const FaultsSuspended own;
  if (isOpen()) play();
}

void ReplicaConnection::readSome() {
  std::array<char, 64 * 1024> buffer{};
  const size_t room = std::min(buffer.size(), readBytesPerTurn_);
  const ssize_t got = recv(fd_, buffer.data(), room, 0);
  if (got == static_cast<ssize_t>(room)) loop_.readAgain(watch_);
  if (got < 0 && (errno == EAGAIN || errno == EINTR)) return;
  if (got > 0) {
    received_.append(buffer.data(), static_cast<size_t>(got));
  } else {
    noteGone(got < 0);
  }
}

// The script goes on: what a replica does after its client left is part of some tests.
void ReplicaConnection::noteGone(bool isReset) {
  isPeerGone_ = true;
  isReset_ = isReset_ || isReset;
  isReading_ = false;
  if (isReset || isDone() || script_[step_].kind != ReplicaStep::Kind::kSend) shut(false);
}

void ReplicaConnection::play() {
  wantsWrite_ = false;
  while (isOpen() && step_ < script_.size() && playStep(script_[step_])) {
    step_++;
    stepSent_ = 0;
  }
  watchAsNeeded();
}

// False: the step needs more time.
bool ReplicaConnection::playStep(ReplicaStep& step) {
  using Kind = ReplicaStep::Kind;
  switch (step.kind) {
    case Kind::kSend:
      return sendSome(step);
    case Kind::kWaitBytes:
      return received_.size() >= step.count;
    case Kind::kWaitRequest: {
      const size_t end = requestEnd(std::string_view(received_).substr(requestsEnd_));
      requestsEnd_ += end;
      return end > 0;
    }
    case Kind::kFinish:
      shutdown(fd_, SHUT_WR);
      return true;
    case Kind::kClose:
      shut(false);
      return true;
    case Kind::kReset:
      shut(true);
      return true;
    case Kind::kStall:
      return false;
    case Kind::kStopReading:
      isReading_ = false;
      return true;
    case Kind::kNextPacket:
      // Deferred work runs before the events of its turn: the second time the peer has had one.
      if (++stepSent_ > 2) return true;
      loop_.defer(this);
      return false;
    case Kind::kReadSlowly:
      readBytesPerTurn_ = step.count;
      return true;
  }
  return false;
}

bool ReplicaConnection::sendSome(ReplicaStep& step) {
  while (stepSent_ < step.bytes.size()) {
    const size_t left = step.bytes.size() - stepSent_;
    const size_t size = step.count == 0 ? left : std::min(left, step.count);
    const ssize_t sent = ::send(fd_, step.bytes.data() + stepSent_, size, MSG_NOSIGNAL);
    if (sent < 0) {
      if (errno == EAGAIN) {
        wantsWrite_ = true;
      } else {
        isPeerGone_ = true;
        isReset_ = true;
        shut(false);
      }
      return false;
    }
    stepSent_ += static_cast<size_t>(sent);
    sentBytes_ += static_cast<size_t>(sent);
    // The next piece in a turn of its own.
    if (step.count != 0 && stepSent_ < step.bytes.size()) {
      loop_.defer(this);
      return false;
    }
  }
  return true;
}

void ReplicaConnection::shut(bool isReset) {
  if (!isOpen()) return;
  loop_.unwatch(watch_);
  watch_ = nullptr;
  if (isReset) {
    const linger now{.l_onoff = 1, .l_linger = 0};
    (void)setsockopt(fd_, SOL_SOCKET, SO_LINGER, &now, sizeof now);
  }
  close(fd_);
  fd_ = -1;
}

void ReplicaConnection::watchAsNeeded() {
  if (!isOpen()) return;
  loop_.change(watch_, (isReading_ ? kReadable : 0) | (wantsWrite_ ? kWritable : 0));
}

FakeReplica::FakeReplica(Loop& loop, int backlog) : loop_(loop), host_("127.0.0.1") {
  listenOn(listenOnLoopback(backlog, port_));
}

FakeReplica::FakeReplica(Loop& loop, const std::string& path)
    : loop_(loop), host_("unix:" + path), path_(path) {
  const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof address.sun_path) std::abort();
  std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
  const auto* generic = reinterpret_cast<const sockaddr*>(&address);  // NOLINT: as above
  if (bind(fd, generic, sizeof address) != 0 || listen(fd, 64) != 0) std::abort();
  listenOn(fd);
}

FakeReplica::~FakeReplica() {
  closeListener();
  if (!path_.empty()) unlink(path_.c_str());
}

void FakeReplica::listenOn(int fd) {
  listenFd_ = fd;
  const FaultsSuspended own;
  watch_ = loop_.watch(fd, kReadable, this);
}

void FakeReplica::stopAccepting() {
  loop_.change(watch_, 0);
}

void FakeReplica::closeListener() {
  if (listenFd_ < 0) return;
  loop_.unwatch(watch_);
  close(listenFd_);
  listenFd_ = -1;
}

size_t FakeReplica::requestCount() const {
  size_t count = 0;
  for (const auto& connection : connections_) count += connection->requests().size();
  return count;
}

void FakeReplica::onIo(uint32_t /*events*/) noexcept {
  const FaultsSuspended own;
  const int fd = accept4(listenFd_, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
  if (fd < 0) return;
  loop_.readAgain(watch_);
  if (!scripts_.empty()) {
    lastScript_ = std::move(scripts_.front());
    scripts_.pop_front();
  }
  connections_.push_back(std::make_unique<ReplicaConnection>(loop_, fd, lastScript_));
}

RefusingPort::RefusingPort() : fd_(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
  port_ = bindToFreePort(fd_);
}

RefusingPort::~RefusingPort() {
  close(fd_);
}

}  // namespace pointsman::test
