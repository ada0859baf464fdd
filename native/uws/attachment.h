// The attachment below uWebSockets.js: sockets that we accept ourselves become its connections.
//
// uWebSockets.js has no call for this, but its binary exports the C functions of uSockets. They are
// looked up in the copy that Node has loaded already. What cannot be looked up or proved makes the
// attachment impossible, with a reason; nothing is guessed.
// Thread: the loop's.
#pragma once

#include <cstddef>
#include <string>

struct us_socket_context_t;
struct us_socket_t;

namespace pointsman {

class Attachment {
 public:
  // `listenSocket` is the us_listen_socket_t of the app that shall get the connections,
  // `binaryPath` the file of the uWebSockets.js binary. Empty on success, else why it cannot be
  // done.
  std::string attach(void* listenSocket, const char* binaryPath) noexcept;
  bool attached() const noexcept { return adopt_ != nullptr; }

  // Hands the connected descriptor over: uSockets owns and closes it from now on. False: it is
  // still the caller's. `address` is the client's address in network byte order, 4 or 16 bytes.
  bool adopt(int fd, char* address, size_t addressBytes) noexcept;

 private:
  using ContextOf = us_socket_context_t* (*)(int ssl, us_socket_t* socket);
  using Adopt = us_socket_t* (*)(int ssl, us_socket_context_t* context, int fd,
                                 unsigned int extensionBytes, char* address, int addressBytes);

  // Borrowed from the app, which lives as long as the process.
  us_socket_context_t* context_ = nullptr;
  unsigned int extensionBytes_ = 0;
  Adopt adopt_ = nullptr;
};

}  // namespace pointsman
