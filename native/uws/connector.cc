#include "uws/connector.h"

#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>

namespace pointsman {

int UwsConnector::connect() noexcept {
  int ends[2] = {-1, -1};
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends) != 0) return -1;
  if (attachment_.adopt(ends[1], nullptr, 0)) return ends[0];
  close(ends[0]);
  close(ends[1]);
  errno = ENOMEM;
  return -1;
}

}  // namespace pointsman
