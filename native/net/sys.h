// The socket calls of the exchange engine, in one place so that tests can make the n-th of them
// fail. Answers are those of the system call with errno left as it set it.
//
// Reading and writing go past libc's functions: those are cancellation points and cost two atomic
// operations each in a process with threads, which nobody here cancels (2.8 % of a worker's time
// under load, by perf). A message of several parts costs the kernel more than a copy of a few
// hundred bytes, so what fits kOneSendBytesMax is put together and sent as one.
#pragma once

#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include <cerrno>

namespace pointsman::sys {

// An errno to fail with, or 0. Defined by the kit of the tests, which benches link as well; called
// here in test builds only.
int faultOf(const char* call) noexcept;
#ifdef POINTSMAN_FAULTS
#define POINTSMAN_FAULT(call)      \
  if (int fault = faultOf(call)) { \
    errno = fault;                 \
    return -1;                     \
  }
#else
#define POINTSMAN_FAULT(call)
#endif

// Try again when the descriptor says so.
inline bool isWouldBlock(int error) noexcept {
  return error == EAGAIN || error == EWOULDBLOCK || error == EINTR;
}

// Up to here parts are worth copying together.
inline constexpr size_t kOneSendBytesMax = 4096;

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
  return ::syscall(SYS_sendmsg, fd, &message, MSG_NOSIGNAL);
}

inline ssize_t send(int fd, const char* data, size_t bytes) noexcept {
  POINTSMAN_FAULT("sendmsg")
  return ::syscall(SYS_sendto, fd, data, bytes, MSG_NOSIGNAL, nullptr, 0);
}

inline ssize_t recv(int fd, void* data, size_t bytes, int flags) noexcept {
  POINTSMAN_FAULT("recv")
  return ::syscall(SYS_recvfrom, fd, data, bytes, flags, nullptr, nullptr);
}

inline void close(int fd) noexcept {
  ::close(fd);
}

#undef POINTSMAN_FAULT

}  // namespace pointsman::sys
