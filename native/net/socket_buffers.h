// How much the kernel may hold of a relayed message, beside what the engine holds itself.
//
// Left alone the kernel lets a connection's buffers grow to tens of megabytes (tcp_rmem, tcp_wmem):
// a client that stops reading would stop its replica only when those are full, and so would a
// replica its client. Bounded are
//   - bytes that wait to be sent, by TCP_NOTSENT_LOWAT. Not by SO_SNDBUF, which would bound what is
//     under way as well, and with it the speed towards a client that is far;
//   - bytes that came and were not read yet, by SO_RCVBUF: the window that the other side sees.
//     Clients get the larger one, because they are farther away.
// Listening sockets hand their options down to what they accept. No kernel that this runs on
// refuses the options; where one did, only the bound would be missing. Unix sockets have neither,
// and are small by themselves.
#pragma once

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

namespace pointsman {

// Bytes that wait in the kernel to be sent, per connection.
inline constexpr int kUnsentBytesMax = 128 * 1024;
// Windows: what may be sent to us before we read. The kernel doubles the numbers for its own
// overhead, so that up to twice as many bytes fit; net.core.rmem_max may allow less.
inline constexpr int kReplicaWindowBytesMax = 128 * 1024;
inline constexpr int kClientWindowBytesMax = 256 * 1024;

inline void boundBuffers(int fd, int windowBytesMax) noexcept {
  (void)setsockopt(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &kUnsentBytesMax, sizeof kUnsentBytesMax);
  (void)setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &windowBytesMax, sizeof windowBytesMax);
}

// Before connect: the window is agreed upon then.
inline void boundReplicaBuffers(int fd) noexcept {
  boundBuffers(fd, kReplicaWindowBytesMax);
}

// Before listen, for the same reason.
inline void boundClientBuffers(int listenFd) noexcept {
  boundBuffers(listenFd, kClientWindowBytesMax);
}

}  // namespace pointsman
