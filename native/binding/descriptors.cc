#include "binding/descriptors.h"

#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <string>
#include <vector>

#include "binding/errno.h"

namespace pointsman {

namespace {

// More listening addresses than a data port will ever have; the kernel's own limit is 253.
constexpr size_t kDescriptorsMax = 64;
constexpr int kBacklog = 16;

// False when the path is too long for a Unix socket.
bool toAddress(const std::string& path, sockaddr_un& address) {
  address = {};
  address.sun_family = AF_UNIX;
  if (path.empty() || path.size() >= sizeof address.sun_path) return false;
  std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
  return true;
}

const sockaddr* asSocketAddress(const sockaddr_un& address) {
  return reinterpret_cast<const sockaddr*>(&address);  // NOLINT: the socket API's own idiom
}

int closeWith(int fd, int error) {
  close(fd);
  errno = error;
  return -1;
}

int listenAt(const std::string& path) {
  sockaddr_un address{};
  if (!toAddress(path, address)) {
    errno = ENAMETOOLONG;
    return -1;
  }
  const int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0) return -1;
  const bool listening = bind(fd, asSocketAddress(address), sizeof address) == 0 &&
                         chmod(path.c_str(), S_IRUSR | S_IWUSR) == 0 && listen(fd, kBacklog) == 0;
  return listening ? fd : closeWith(fd, errno);
}

// Memory for the control message of as many descriptors, aligned as the kernel wants it.
struct ControlBuffer {
  alignas(cmsghdr) std::array<char, CMSG_SPACE(kDescriptorsMax * sizeof(int))> bytes{};
};

// Descriptors of one message; empty with errno set when there is none.
std::vector<int> readDescriptors(int fd) {
  char byte = 0;
  iovec part{&byte, 1};
  ControlBuffer control;
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = control.bytes.data();
  message.msg_controllen = control.bytes.size();
  std::vector<int> descriptors;
  if (recvmsg(fd, &message, MSG_CMSG_CLOEXEC) < 0) return descriptors;
  for (cmsghdr* head = CMSG_FIRSTHDR(&message); head != nullptr;
       head = CMSG_NXTHDR(&message, head)) {
    if (head->cmsg_level != SOL_SOCKET || head->cmsg_type != SCM_RIGHTS) continue;
    descriptors.resize((head->cmsg_len - CMSG_LEN(0)) / sizeof(int));
    std::memcpy(descriptors.data(), CMSG_DATA(head), descriptors.size() * sizeof(int));
  }
  return descriptors;
}

bool writeDescriptors(int fd, const std::vector<int>& descriptors) {
  char byte = 0;
  iovec part{&byte, 1};
  ControlBuffer control;
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = control.bytes.data();
  message.msg_controllen = CMSG_SPACE(descriptors.size() * sizeof(int));
  cmsghdr* head = CMSG_FIRSTHDR(&message);
  head->cmsg_level = SOL_SOCKET;
  head->cmsg_type = SCM_RIGHTS;
  head->cmsg_len = CMSG_LEN(descriptors.size() * sizeof(int));
  std::memcpy(CMSG_DATA(head), descriptors.data(), descriptors.size() * sizeof(int));
  return sendmsg(fd, &message, MSG_NOSIGNAL) == 1;
}

// listenForDescriptors(path): descriptor
Napi::Value listenForDescriptors(const Napi::CallbackInfo& info) {
  const int fd = listenAt(info[0].As<Napi::String>().Utf8Value());
  if (fd < 0) return throwErrno(info.Env(), errno, "listen");
  return Napi::Number::New(info.Env(), fd);
}

// receiveDescriptors(listener): number[] | null. A peer connects and sends at once, so its message
// is there as soon as the connection is.
Napi::Value receiveDescriptors(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  const int peer = accept4(info[0].As<Napi::Number>().Int32Value(), nullptr, nullptr, SOCK_CLOEXEC);
  if (peer < 0) {
    if (errno == EAGAIN || errno == EWOULDBLOCK) return env.Null();
    return throwErrno(env, errno, "accept4");
  }
  // Bounded: a peer that connects and says nothing must not stop the process.
  const timeval patience{.tv_sec = 1, .tv_usec = 0};
  setsockopt(peer, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
  const std::vector<int> descriptors = readDescriptors(peer);
  close(peer);
  Napi::Array result = Napi::Array::New(env);
  for (const int fd : descriptors) result.Set(result.Length(), fd);
  return result;
}

// sendDescriptors(path, descriptors)
Napi::Value sendDescriptors(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  const auto list = info[1].As<Napi::Array>();
  std::vector<int> descriptors;
  for (uint32_t i = 0; i < list.Length() && descriptors.size() < kDescriptorsMax; i++) {
    descriptors.push_back(list.Get(i).As<Napi::Number>().Int32Value());
  }
  sockaddr_un address{};
  if (descriptors.empty() || !toAddress(info[0].As<Napi::String>().Utf8Value(), address)) {
    return throwErrno(env, EINVAL, "sendmsg");
  }
  const int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
  if (fd < 0) return throwErrno(env, errno, "socket");
  const bool sent = connect(fd, asSocketAddress(address), sizeof address) == 0 &&
                    writeDescriptors(fd, descriptors);
  const int error = errno;
  close(fd);
  if (!sent) return throwErrno(env, error, "sendmsg");
  return env.Undefined();
}

// createWakeDescriptor(): descriptor
Napi::Value createWakeDescriptor(const Napi::CallbackInfo& info) {
  const int fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
  if (fd < 0) return throwErrno(info.Env(), errno, "eventfd");
  return Napi::Number::New(info.Env(), fd);
}

// wake(descriptor). A counter that is full wakes its reader anyway.
Napi::Value wake(const Napi::CallbackInfo& info) {
  const uint64_t one = 1;
  (void)!write(info[0].As<Napi::Number>().Int32Value(), &one, sizeof one);
  return info.Env().Undefined();
}

}  // namespace

void defineDescriptors(Napi::Env env, Napi::Object exports) {
  exports.Set("listenForDescriptors",
              Napi::Function::New<listenForDescriptors>(env, "listenForDescriptors"));
  exports.Set("receiveDescriptors",
              Napi::Function::New<receiveDescriptors>(env, "receiveDescriptors"));
  exports.Set("sendDescriptors", Napi::Function::New<sendDescriptors>(env, "sendDescriptors"));
  exports.Set("createWakeDescriptor",
              Napi::Function::New<createWakeDescriptor>(env, "createWakeDescriptor"));
  exports.Set("wake", Napi::Function::New<wake>(env, "wake"));
}

}  // namespace pointsman
