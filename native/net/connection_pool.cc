#include "net/connection_pool.h"

#include <linux/sockios.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/ioctl.h>

#include <memory>
#include <new>

#include "net/address.h"
#include "net/engine.h"
#include "net/socket_buffers.h"
#include "net/sys.h"

namespace pointsman {

void Connection::watchFor(uint32_t events) noexcept {
  if (watched_ == events || watch_ == nullptr) return;
  watched_ = events;
  pool_.engine_.loop().change(watch_, events);
}

void Connection::readAgain() noexcept {
  if (watch_ != nullptr) pool_.engine_.loop().readAgain(watch_);
}

void Connection::onIo(uint32_t events) noexcept {
  if (state_ == State::kIdle) {
    // Bytes nobody asked for, or the replica's FIN: either way this connection is of no more use.
    if (holdsBytes()) pool_.close(*this);
    return;
  }
  if (state_ == State::kConnecting) {
    int error = 0;
    socklen_t bytes = sizeof error;
    if (getsockopt(fd_, SOL_SOCKET, SO_ERROR, &error, &bytes) != 0) error = errno;
    pool_.finishConnect(*this, error);
    return;
  }
  // Readable first: an early answer or a reset is worth knowing before more is sent.
  if ((events & kReadable) != 0 && (watched_ & kReadable) != 0) user_->onReadable();
  // The user may have released the connection just now.
  if (state_ == State::kBusy && (events & kWritable) != 0 && (watched_ & kWritable) != 0) {
    user_->onWritable();
  }
}

ssize_t Connection::receive(std::span<char> buffer) noexcept {
  const ssize_t got = sys::recv(fd_, buffer.data(), buffer.size(), 0);
  if (got > 0) receivedBytes_ += static_cast<size_t>(got);
  if (receivedBytes_ >= kBytesPerWindowLook) [[unlikely]] {
    receivedBytes_ = 0;
    boundGrownWindow(fd_);
  }
  return got;
}

bool Connection::holdsBytes() const noexcept {
  char byte = 0;
  const ssize_t got = sys::recv(fd_, &byte, 1, MSG_PEEK | MSG_DONTWAIT);
  return got >= 0 || !sys::isWouldBlock(errno);
}

void Connection::onTimeout() noexcept {
  if (state_ == State::kConnecting) {
    pool_.finishConnect(*this, ETIMEDOUT);
  } else if (state_ == State::kIdle) {
    pool_.close(*this);
  }
}

// Freed outside every callback that might still stand on the connection.
void Connection::onDeferred() noexcept {
  delete this;
}  // NOLINT: the pool allocated it

ConnectionPool::~ConnectionPool() {
  drain();
}

ConnectionPool::Acquired ConnectionPool::acquire(ConnectionUser& user, uint64_t connectTimeoutMs,
                                                 bool fresh) noexcept {
  if (!fresh) {
    if (Connection* idle = takeIdle()) {
      idle->user_ = &user;
      return {.connection = idle};
    }
  }
  int failedWith = EAGAIN;
  Connection* made = open_ < kConnectionsPerAddressMax ? connect(failedWith) : nullptr;
  if (made == nullptr) {
    address_.stats().connectFailures++;
    return {.failedWith = failedWith};
  }
  made->user_ = &user;
  engine_.wheel().arm(*made, engine_.loop().nowMs() + connectTimeoutMs);
  return {.connection = made};
}

void ConnectionPool::release(Connection& connection, bool reusable,
                             uint64_t idleTimeoutMs) noexcept {
  connection.user_ = nullptr;
  connection.exchangesDone_++;
  if (!reusable || draining_ || idle_ >= kIdleConnectionsPerAddressMax ||
      connection.state_ != Connection::State::kBusy) {
    close(connection);
    return;
  }
  connection.watchFor(kReadable | kFirst);
  connection.state_ = Connection::State::kIdle;
  settleReleased();
  connection.releasedIn_ = releasedIn_;
  released_.add(connection);
  idle_++;
  address_.stats().idleConnections++;
  engine_.wheel().arm(connection, engine_.loop().nowMs() + idleTimeoutMs);
}

void ConnectionPool::drain() noexcept {
  draining_ = true;
  while (settled_.newest != nullptr) close(*settled_.newest);
  while (released_.newest != nullptr) close(*released_.newest);
}

Connection* ConnectionPool::takeIdle() noexcept {
  settleReleased();
  for (;;) {
    const bool isSettled = settled_.newest != nullptr;
    Connection* connection = isSettled ? settled_.newest : released_.newest;
    if (connection == nullptr) return nullptr;
    const bool isQuiet = engine_.loop().takeBack(connection->watch_);
    if (!(isSettled && isQuiet) && connection->holdsBytes()) {
      close(*connection);
      continue;
    }
    unlinkIdle(*connection);
    engine_.wheel().cancel(*connection);
    connection->watchFor(kReadable);
    connection->state_ = Connection::State::kBusy;
    return connection;
  }
}

// What was released in earlier turns has been through a look since.
void ConnectionPool::settleReleased() noexcept {
  const uint64_t turn = engine_.loop().turnNumber();
  if (releasedIn_ == turn) return;
  releasedIn_ = turn;
  settled_.prepend(released_);
}

void ConnectionPool::IdleList::add(Connection& connection) noexcept {
  connection.newer_ = nullptr;
  connection.older_ = newest;
  (newest != nullptr ? newest->newer_ : oldest) = &connection;
  newest = &connection;
}

void ConnectionPool::IdleList::remove(Connection& connection) noexcept {
  (connection.newer_ != nullptr ? connection.newer_->older_ : newest) = connection.older_;
  (connection.older_ != nullptr ? connection.older_->newer_ : oldest) = connection.newer_;
  connection.newer_ = connection.older_ = nullptr;
}

void ConnectionPool::IdleList::prepend(IdleList& newer) noexcept {
  if (newer.newest == nullptr) return;
  newer.oldest->older_ = newest;
  (newest != nullptr ? newest->newer_ : oldest) = newer.oldest;
  newest = newer.newest;
  newer = {};
}

// A descriptor that is connected or on its way; -1 with errno set.
int ConnectionPool::openSocket() noexcept {
  if (Connector* connector = address_.connector()) return connector->connect();
  const int family = address_.socketAddress()->sa_family;
  const int fd = sys::socket(family);
  if (fd < 0) return -1;
  if (family != AF_UNIX) {
    const int on = 1;
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    boundUnsent(fd);
  }
  address_.stats().connects++;
  const int result = sys::connect(fd, address_.socketAddress(), address_.socketAddressBytes());
  // A unix socket or a loopback address may refuse at once; a unix socket whose backlog is full
  // says EAGAIN.
  if (result == 0 || errno == EINPROGRESS) return fd;
  const int failedWith = errno;
  sys::close(fd);
  errno = failedWith;
  return -1;
}

Connection* ConnectionPool::connect(int& failedWith) noexcept {
  const int fd = openSocket();
  if (fd < 0) {
    failedWith = errno;
    return nullptr;
  }
  std::unique_ptr<Connection> connection(new (std::nothrow) Connection(*this, fd));
  if (connection != nullptr) {
    connection->watched_ = kWritable;
    connection->watch_ = engine_.loop().watch(fd, kWritable, connection.get());
  }
  if (connection == nullptr || connection->watch_ == nullptr) {
    sys::close(fd);
    failedWith = ENOMEM;
    return nullptr;
  }
  open_++;
  // From here on it frees itself when it is closed, see onDeferred.
  return connection.release();
}

void ConnectionPool::finishConnect(Connection& connection, int failedWith) noexcept {
  engine_.wheel().cancel(connection);
  ConnectionUser* user = connection.user_;
  if (failedWith != 0) {
    address_.stats().connectFailures++;
    connection.user_ = nullptr;
    close(connection);
  } else {
    connection.state_ = Connection::State::kBusy;
    connection.watchFor(kReadable);
  }
  user->onConnected(failedWith);
}

void ConnectionPool::unlinkIdle(Connection& connection) noexcept {
  (connection.releasedIn_ == releasedIn_ ? released_ : settled_).remove(connection);
  idle_--;
  address_.stats().idleConnections--;
}

// A FIN waits behind the bytes that the replica has not taken, for as long as it takes none; it
// would go on with a request whose client has left. A reset does not wait. Unix sockets, which know
// none, pass the end on at once.
void ConnectionPool::resetIfUnsent(int fd) noexcept {
  int unsentBytes = 0;
  if (ioctl(fd, SIOCOUTQ, &unsentBytes) != 0 || unsentBytes == 0) return;
  const linger now{.l_onoff = 1, .l_linger = 0};
  (void)setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
}

void ConnectionPool::close(Connection& connection) noexcept {
  if (connection.state_ == Connection::State::kClosed) return;
  if (connection.state_ == Connection::State::kIdle) unlinkIdle(connection);
  if (connection.state_ == Connection::State::kBusy) resetIfUnsent(connection.fd_);
  connection.state_ = Connection::State::kClosed;
  engine_.wheel().cancel(connection);
  engine_.loop().unwatch(connection.watch_);
  connection.watch_ = nullptr;
  sys::close(connection.fd_);
  open_--;
  engine_.loop().defer(&connection);
}

}  // namespace pointsman
