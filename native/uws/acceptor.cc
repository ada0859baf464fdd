#include "uws/acceptor.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>

namespace pointsman {

bool Acceptor::start(int listenFd, uint32_t connectionsMax) {
  openMax_ = connectionsMax;
  if (reserveFd_ < 0) reserveFd_ = open("/dev/null", O_RDONLY | O_CLOEXEC);
  listeners_.push_back(std::make_unique<Listener>(*this, listenFd));
  watchAsNeeded();
  return open_ >= openMax_ || listeners_.back()->watch != nullptr;
}

void Acceptor::stop() noexcept {
  wheel_.cancel(*this);
  setWatched(false);
  for (const auto& listener : listeners_) close(listener->fd);
  listeners_.clear();
  if (reserveFd_ >= 0) close(reserveFd_);
  reserveFd_ = -1;
}

void Acceptor::onConnectionClosed() noexcept {
  if (open_ > 0) open_--;
  watchAsNeeded();
}

void Acceptor::watchAsNeeded() noexcept {
  if (!armed()) setWatched(open_ < openMax_);
}

void Acceptor::setWatched(bool watched) noexcept {
  for (const auto& listener : listeners_) {
    if (watched && listener->watch == nullptr) {
      listener->watch = loop_.watch(listener->fd, kReadable, listener.get());
    } else if (!watched && listener->watch != nullptr) {
      loop_.unwatch(listener->watch);
      listener->watch = nullptr;
    }
  }
}

void Acceptor::acceptFrom(Listener& listener) noexcept {
  for (int accepts = 0; accepts < kAcceptsPerEventMax && open_ < openMax_; accepts++) {
    if (!acceptOne(listener.fd)) break;
  }
  watchAsNeeded();
}

void Acceptor::onTimeout() noexcept {
  if (reserveFd_ < 0) reserveFd_ = open("/dev/null", O_RDONLY | O_CLOEXEC);
  watchAsNeeded();
}

// False when there is nothing more to accept now.
bool Acceptor::acceptOne(int listenFd) noexcept {
  sockaddr_storage peer{};
  socklen_t peerBytes = sizeof peer;
  auto* peerAddress = reinterpret_cast<sockaddr*>(&peer);  // NOLINT: the socket API's own idiom
  const int fd = accept4(listenFd, peerAddress, &peerBytes, SOCK_NONBLOCK | SOCK_CLOEXEC);
  if (fd < 0) {
    if (errno == EINTR || errno == ECONNABORTED) return true;
    if (errno == EAGAIN || errno == EWOULDBLOCK) return false;
    // EMFILE, ENFILE, ENOMEM, ENOBUFS: the socket stays readable, so look away for a while. The
    // reserve is given back to the process meanwhile.
    if (reserveFd_ >= 0) close(reserveFd_);
    reserveFd_ = -1;
    setWatched(false);
    wheel_.arm(*this, loop_.nowMs() + kPauseMs);
    return false;
  }
  char* address = nullptr;
  size_t addressBytes = 0;
  if (peer.ss_family == AF_INET6) {
    auto* v6 = reinterpret_cast<sockaddr_in6*>(&peer);  // NOLINT: as above
    address = reinterpret_cast<char*>(&v6->sin6_addr);  // NOLINT: bytes in network order
    addressBytes = sizeof v6->sin6_addr;
  } else if (peer.ss_family == AF_INET) {
    auto* v4 = reinterpret_cast<sockaddr_in*>(&peer);  // NOLINT: as above
    address = reinterpret_cast<char*>(&v4->sin_addr);  // NOLINT: bytes in network order
    addressBytes = sizeof v4->sin_addr;
  }
  // Counted first: the adoption runs the open handler.
  open_++;
  if (!attachment_.adopt(fd, address, addressBytes)) {
    open_--;
    close(fd);
  }
  return true;
}

}  // namespace pointsman
