#include "uws/attachment.h"

#include <dlfcn.h>

#include <cstring>

namespace pointsman {

namespace {

// A listen socket is a socket with the size of the extension of accepted sockets behind it. The
// socket is a poll handle, a few flag bytes, the context pointer and two list links; the context
// pointer is looked for in this many words, and the size must be plausible for the HTTP state of
// uWebSockets (232 in the pinned one).
constexpr size_t kListenSocketWordsMax = 32;
constexpr size_t kWordsBehindContext = 3;
constexpr unsigned int kExtensionBytesMin = 64;
constexpr unsigned int kExtensionBytesMax = 4096;

template <class Function>
Function lookUp(void* library, const char* name) noexcept {
  return reinterpret_cast<Function>(dlsym(library, name));  // NOLINT: what dlsym is for
}

// Reads the extension's size out of the listen socket; 0 when it is not where it must be.
unsigned int extensionBytesOf(const void* listenSocket,
                              const us_socket_context_t* context) noexcept {
  const auto* words = static_cast<const char*>(listenSocket);
  for (size_t word = 0; word < kListenSocketWordsMax; word++) {
    const us_socket_context_t* candidate = nullptr;
    std::memcpy(&candidate, words + word * sizeof(void*), sizeof(void*));
    if (candidate != context) continue;
    const char* behind = words + (word + kWordsBehindContext) * sizeof(void*);
    unsigned int bytes = 0;
    std::memcpy(&bytes, behind, sizeof bytes);
    return bytes >= kExtensionBytesMin && bytes <= kExtensionBytesMax ? bytes : 0;
  }
  return 0;
}

}  // namespace

std::string Attachment::attach(void* listenSocket, const char* binaryPath) noexcept {
  void* library = dlopen(binaryPath, RTLD_LAZY | RTLD_NOLOAD);
  if (library == nullptr) return "the uWebSockets.js binary is not loaded from where it should be";
  const auto contextOf = lookUp<ContextOf>(library, "us_socket_context");
  const auto adopt = lookUp<Adopt>(library, "us_adopt_accepted_socket");
  if (contextOf == nullptr || adopt == nullptr) {
    return "the uWebSockets.js binary does not export the uSockets functions";
  }
  us_socket_context_t* context = contextOf(0, static_cast<us_socket_t*>(listenSocket));
  const unsigned int extensionBytes =
      context == nullptr ? 0 : extensionBytesOf(listenSocket, context);
  if (extensionBytes == 0) return "the listen socket of uWebSockets.js has an unknown layout";
  context_ = context;
  extensionBytes_ = extensionBytes;
  adopt_ = adopt;
  return {};
}

bool Attachment::adopt(int fd, char* address, size_t addressBytes) noexcept {
  return adopt_(0, context_, fd, extensionBytes_, address, static_cast<int>(addressBytes)) !=
         nullptr;
}

}  // namespace pointsman
