#include "binding/sockets.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <netdb.h>
#include <netinet/in.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <string>
#include <vector>

#include "binding/errno.h"
#include "binding/js.h"
#include "net/socket_buffers.h"

namespace pointsman {

namespace {

bool setOption(int fd, int level, int name) {
  const int on = 1;
  return setsockopt(fd, level, name, &on, sizeof on) == 0;
}

int openListener(const addrinfo& address, bool shared, int backlog, const char*& call) {
  call = "socket";
  const int fd = socket(address.ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0) return -1;
  call = "setsockopt";
  bool ok = setOption(fd, SOL_SOCKET, SO_REUSEADDR);
  if (shared) ok = ok && setOption(fd, SOL_SOCKET, SO_REUSEPORT);
  if (address.ai_family == AF_INET6) ok = ok && setOption(fd, IPPROTO_IPV6, IPV6_V6ONLY);
  if (ok) {
    call = "bind";
    ok = bind(fd, address.ai_addr, address.ai_addrlen) == 0;
  }
  if (ok) {
    // Inherited by what is accepted.
    boundListener(fd);
    call = "listen";
    ok = listen(fd, backlog) == 0;
  }
  if (ok) return fd;
  const int error = errno;
  close(fd);
  errno = error;
  return -1;
}

// listenTcp(host, port, backlog, shared): descriptor. `shared`: SO_REUSEPORT, one socket per worker
// slot.
Napi::Value listenTcp(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  const std::string host = info[0].As<Napi::String>().Utf8Value();
  const std::string port = std::to_string(info[1].As<Napi::Number>().Uint32Value());
  const int backlog = info[2].As<Napi::Number>().Int32Value();
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV | AI_PASSIVE;
  addrinfo* found = nullptr;
  if (getaddrinfo(host.c_str(), port.c_str(), &hints, &found) != 0) {
    return throwErrno(env, EINVAL, "getaddrinfo");
  }
  const char* call = "";
  const int fd = openListener(*found, info[3].As<Napi::Boolean>().Value(), backlog, call);
  const int error = errno;
  freeaddrinfo(found);
  if (fd < 0) return throwErrno(env, error, call);
  return Napi::Number::New(env, fd);
}

// No place: the kernel chooses by hash.
constexpr uint32_t kAnySocket = UINT32_MAX;

// One of the places at random.
std::vector<sock_filter> chooseAmong(const std::vector<int>& places) {
  const auto count = static_cast<uint32_t>(places.size());
  std::vector<sock_filter> program = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, static_cast<uint32_t>(SKF_AD_OFF + SKF_AD_RANDOM)),
      BPF_STMT(BPF_ALU | BPF_MOD | BPF_K, count)};
  for (uint32_t index = 0; index < count; index++) {
    program.push_back(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, index, 0, 1));
    program.push_back(BPF_STMT(BPF_RET | BPF_K, static_cast<uint32_t>(places[index])));
  }
  program.push_back(BPF_STMT(BPF_RET | BPF_K, kAnySocket));
  return program;
}

// steerConnections(descriptor, places): whether the kernel does it.
Napi::Value steerConnections(const Napi::CallbackInfo& info) {
  const std::vector<int> places = js::integers(info[1].As<Napi::Array>());
  std::vector<sock_filter> program = chooseAmong(places);
  const sock_fprog given{static_cast<uint16_t>(program.size()), program.data()};
  const int fd = info[0].As<Napi::Number>().Int32Value();
  const bool isDone = !places.empty() && setsockopt(fd, SOL_SOCKET, SO_ATTACH_REUSEPORT_CBPF,
                                                    &given, sizeof given) == 0;
  return Napi::Boolean::New(info.Env(), isDone);
}

// A segment that asks for a connection is dropped, as on a bad line: the client asks again after a
// second. The filter sees the TCP header; accepted connections inherit it and get no such segment.
// shutdown() and listen() would not do: one resets what waits, the other leaves room for one more.
constexpr uint32_t kTcpFlagsAt = 13;
constexpr uint32_t kSyn = 0x02;
constexpr uint32_t kAck = 0x10;
constexpr std::array<sock_filter, 5> kDropConnects = {
    {BPF_STMT(BPF_LD | BPF_B | BPF_ABS, kTcpFlagsAt),
     BPF_STMT(BPF_ALU | BPF_AND | BPF_K, kSyn | kAck),
     BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, kSyn, 0, 1), BPF_STMT(BPF_RET | BPF_K, 0),
     BPF_STMT(BPF_RET | BPF_K, UINT32_MAX)}};

// answerConnects(descriptor, areAnswered): whether the kernel does it.
Napi::Value answerConnects(const Napi::CallbackInfo& info) {
  const int fd = info[0].As<Napi::Number>().Int32Value();
  bool isDone = false;
  if (info[1].As<Napi::Boolean>().Value()) {
    const int unused = 0;
    // ENOENT: it had no filter.
    isDone = setsockopt(fd, SOL_SOCKET, SO_DETACH_FILTER, &unused, sizeof unused) == 0 ||
             errno == ENOENT;
  } else {
    std::array<sock_filter, kDropConnects.size()> program = kDropConnects;
    const sock_fprog given{static_cast<uint16_t>(program.size()), program.data()};
    isDone = setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &given, sizeof given) == 0;
  }
  return Napi::Boolean::New(info.Env(), isDone);
}

// portOf(descriptor): the port a listening socket is bound to.
Napi::Value portOf(const Napi::CallbackInfo& info) {
  sockaddr_storage bound{};
  socklen_t bytes = sizeof bound;
  auto* address = reinterpret_cast<sockaddr*>(&bound);  // NOLINT: the socket API's own idiom
  if (getsockname(info[0].As<Napi::Number>().Int32Value(), address, &bytes) != 0) {
    return throwErrno(info.Env(), errno, "getsockname");
  }
  in_port_t port = 0;
  if (bound.ss_family == AF_INET6) {
    port = reinterpret_cast<sockaddr_in6*>(&bound)->sin6_port;  // NOLINT: as above
  } else {
    port = reinterpret_cast<sockaddr_in*>(&bound)->sin_port;  // NOLINT: as above
  }
  return Napi::Number::New(info.Env(), ntohs(port));
}

// lockFile(path): descriptor that holds an exclusive lock until it is closed or the process ends;
// -1 when another process holds it.
Napi::Value lockFile(const Napi::CallbackInfo& info) {
  const std::string path = info[0].As<Napi::String>().Utf8Value();
  const int fd = open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (fd < 0) return throwErrno(info.Env(), errno, "open");
  if (flock(fd, LOCK_EX | LOCK_NB) == 0) return Napi::Number::New(info.Env(), fd);
  const int error = errno;
  close(fd);
  if (error != EWOULDBLOCK) return throwErrno(info.Env(), error, "flock");
  return Napi::Number::New(info.Env(), -1);
}

Napi::Value closeDescriptor(const Napi::CallbackInfo& info) {
  close(info[0].As<Napi::Number>().Int32Value());
  return info.Env().Undefined();
}

}  // namespace

void defineSockets(Napi::Env env, Napi::Object exports) {
  exports.Set("listenTcp", Napi::Function::New<listenTcp>(env, "listenTcp"));
  exports.Set("steerConnections", Napi::Function::New<steerConnections>(env, "steerConnections"));
  exports.Set("answerConnects", Napi::Function::New<answerConnects>(env, "answerConnects"));
  exports.Set("portOf", Napi::Function::New<portOf>(env, "portOf"));
  exports.Set("lockFile", Napi::Function::New<lockFile>(env, "lockFile"));
  exports.Set("closeDescriptor", Napi::Function::New<closeDescriptor>(env, "closeDescriptor"));
}

}  // namespace pointsman
