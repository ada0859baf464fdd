// How much the kernel may hold of a relayed message, beside what the engine holds itself.
//
// Left alone the kernel lets a connection's buffers grow to tens of megabytes (tcp_rmem, tcp_wmem):
// a client that stops reading would stop its replica only when those are full, and so would a
// replica its client. Bounded are
//   - bytes that wait to be sent, by TCP_NOTSENT_LOWAT. Not by SO_SNDBUF, which would bound what is
//     under way as well, and with it the speed towards a client that is far;
//   - bytes that came and were not read yet, by SO_RCVBUF, which bounds the window that the other
//     side sees. Towards clients it is set at once: a request seldom fills it. Towards replicas the
//     kernel sizes the window by itself, from small, by how fast we read, and is stopped when that
//     has gone far: a window that is smaller than the answers costs a third of the bytes per CPU
//     second of answers of 1 MiB.
// Listening sockets hand their options down to what they accept. No kernel that this runs on
// refuses the options; where one did, only the bound would be missing. Unix sockets have neither,
// and are small by themselves.
#pragma once

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <cstddef>

namespace pointsman {

// Bytes that wait in the kernel to be sent, per connection.
inline constexpr int kUnsentBytesMax = 128 * 1024;
// What a client may send before we read, per connection. The kernel doubles the number for its own
// overhead, so that up to twice as many bytes fit; net.core.rmem_max may allow less.
inline constexpr int kClientWindowBytesMax = 256 * 1024;
// The same of replicas, once the window has grown so far.
inline constexpr int kReplicaWindowBytesMax = 1024 * 1024;
// Received from a replica between two looks at how far its window has grown.
inline constexpr size_t kBytesPerWindowLook = size_t{1024} * 1024;

inline void boundUnsent(int fd) noexcept {
  (void)setsockopt(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &kUnsentBytesMax, sizeof kUnsentBytesMax);
}

// Before listen: the window is agreed upon with the first packet.
inline void boundListener(int fd) noexcept {
  boundUnsent(fd);
  (void)setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &kClientWindowBytesMax, sizeof kClientWindowBytesMax);
}

// Ends the growth of a window that is larger than it may be. What the replica was told stays true:
// it is as large until so many bytes have come.
inline void boundGrownWindow(int fd) noexcept {
  int doubled = 0;
  socklen_t size = sizeof doubled;
  if (getsockopt(fd, SOL_SOCKET, SO_RCVBUF, &doubled, &size) != 0) return;
  if (doubled <= 2 * kReplicaWindowBytesMax) return;
  const int bytes = kReplicaWindowBytesMax;
  (void)setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof bytes);
}

}  // namespace pointsman
