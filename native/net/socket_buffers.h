// How much the kernel may hold of a relayed message, beside what the engine holds itself.
//
// Left alone the kernel lets a connection's buffers grow to tens of megabytes (tcp_rmem, tcp_wmem):
// a client that stops reading would stop its replica only when those are full, and so would a
// replica its client. Bounded are
//   - bytes that wait to be sent, by TCP_NOTSENT_LOWAT. Not by SO_SNDBUF, which would bound what is
//     under way as well, and with it the speed towards a client that is far;
//   - bytes that came and were not read yet, by SO_RCVBUF: the window that the other side sees. It
//     costs a little: a replica that answers with much is read in smaller pieces.
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
// What may be sent to us before we read, per connection. The kernel doubles the number for its own
// overhead, so that up to twice as many bytes fit; net.core.rmem_max may allow less.
inline constexpr int kWindowBytesMax = 256 * 1024;

// Before connect or listen: the window is agreed upon with the first packet.
inline void boundKernelBuffers(int fd) noexcept {
  (void)setsockopt(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &kUnsentBytesMax, sizeof kUnsentBytesMax);
  (void)setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &kWindowBytesMax, sizeof kWindowBytesMax);
}

}  // namespace pointsman
