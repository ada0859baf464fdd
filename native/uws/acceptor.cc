#include "uws/acceptor.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <string_view>

namespace pointsman {

namespace {

constexpr std::string_view kBusy =
    "HTTP/1.1 503 Service Unavailable\r\n"
    "content-type: application/json\r\n"
    "x-pointsman-error: TEMPORARILY_UNAVAILABLE\r\n"
    "retry-after: 1\r\n"
    "content-length: 95\r\n"
    "connection: close\r\n"
    "\r\n"
    R"({"error_code":"TEMPORARILY_UNAVAILABLE","message":"The connection limit is reached; try again"})";

uint32_t withinDescriptors(uint32_t connectionsMax) noexcept {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY) {
    return connectionsMax;
  }
  const uint64_t reserved = Acceptor::kDescriptorsReserved;
  const uint64_t free = limit.rlim_cur > 2 * reserved ? limit.rlim_cur - reserved : reserved;
  return static_cast<uint32_t>(std::min<uint64_t>(connectionsMax, free / 2));
}

}  // namespace

bool Acceptor::start(int listenFd, uint32_t connectionsMax) {
  openMax_ = withinDescriptors(connectionsMax);
  refused_.reserve(kRefusedHeldMax);
  if (reserveFd_ < 0) reserveFd_ = open("/dev/null", O_RDONLY | O_CLOEXEC);
  listeners_.push_back(std::make_unique<Listener>(*this, listenFd));
  setWatched(true);
  return listeners_.back()->watch != nullptr;
}

void Acceptor::takeWaiting() noexcept {
  for (const auto& listener : listeners_) {
    int taken = 0;
    while (taken < kWaitingMax && acceptOne(listener->fd)) taken++;
  }
}

void Acceptor::stop() noexcept {
  wheel_.cancel(*this);
  setWatched(false);
  for (const auto& listener : listeners_) close(listener->fd);
  listeners_.clear();
  closeRefused();
  if (reserveFd_ >= 0) close(reserveFd_);
  reserveFd_ = -1;
}

void Acceptor::onConnectionClosed() noexcept {
  if (header_.connectionsOpen > 0) header_.connectionsOpen--;
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
  for (int accepts = 0; accepts < kAcceptsPerEventMax; accepts++) {
    if (!acceptOne(listener.fd)) return;
  }
  loop_.readAgain(listener.watch);
}

void Acceptor::onTimeout() noexcept {
  closeRefused();
  if (reserveFd_ < 0) reserveFd_ = open("/dev/null", O_RDONLY | O_CLOEXEC);
  setWatched(true);
  const bool isDeaf = std::any_of(listeners_.begin(), listeners_.end(),
                                  [](const auto& listener) { return listener->watch == nullptr; });
  if (isDeaf) wheel_.arm(*this, loop_.nowMs() + kPauseMs);
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
  if (header_.connectionsOpen >= openMax_) {
    header_.connectionsRefused++;
    refuse(fd);
    return true;
  }
  // Counted first: the hand-over may run handlers.
  header_.connectionsOpen++;
  if (!sink_.onAccepted(fd, peer)) header_.connectionsOpen--;
  return true;
}

// Closing at once would reset the connection when the request comes, and the refusal with it.
void Acceptor::refuse(int fd) noexcept {
  (void)send(fd, kBusy.data(), kBusy.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
  shutdown(fd, SHUT_WR);
  if (refused_.size() == kRefusedHeldMax) closeRefused();
  refused_.push_back(fd);
  if (!armed()) wheel_.arm(*this, loop_.nowMs() + kPauseMs);
}

void Acceptor::closeRefused() noexcept {
  for (const int fd : refused_) close(fd);
  refused_.clear();
}

}  // namespace pointsman
