// The socket calls of the exchange engine, in one place so that tests can make the n-th of them
// fail. Answers are those of the system call with errno left as it set it.
#pragma once

#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include <cerrno>

namespace pointsman::sys {

#ifdef POINTSMAN_FAULTS
// Test builds only: an errno to fail with, or 0. Defined by the test.
int faultOf(const char* call) noexcept;
#define POINTSMAN_FAULT(call)      \
  if (int fault = faultOf(call)) { \
    errno = fault;                 \
    return -1;                     \
  }
#else
#define POINTSMAN_FAULT(call)
#endif

inline int socket(int family) noexcept {
  POINTSMAN_FAULT("socket")
  return ::socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
}

inline int connect(int fd, const sockaddr* address, socklen_t bytes) noexcept {
  POINTSMAN_FAULT("connect")
  return ::connect(fd, address, bytes);
}

inline ssize_t sendParts(int fd, iovec* parts, size_t count) noexcept {
  POINTSMAN_FAULT("sendmsg")
  msghdr message{};
  message.msg_iov = parts;
  message.msg_iovlen = count;
  return ::sendmsg(fd, &message, MSG_NOSIGNAL);
}

inline ssize_t recv(int fd, void* data, size_t bytes, int flags) noexcept {
  POINTSMAN_FAULT("recv")
  return ::recv(fd, data, bytes, flags);
}

inline void close(int fd) noexcept {
  ::close(fd);
}

#undef POINTSMAN_FAULT

}  // namespace pointsman::sys
