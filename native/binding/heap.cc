#include "binding/heap.h"

#include <malloc.h>

namespace pointsman {

namespace {

// Kept at the end of the heap before any of it goes back to the kernel. By default that is twice
// the size of one large buffer, so that depending on what lies behind them, the buffers of a 64 KiB
// request were returned and faulted in anew for every request.
constexpr int kFreedBytesKept = 8 * 1024 * 1024;
// From here on a block is a mapping of its own, made and unmade with system calls.
constexpr int kMappingBytesMin = 1024 * 1024;

// keepFreedMemory()
Napi::Value keepFreedMemory(const Napi::CallbackInfo& info) {
#ifdef __GLIBC__
  // Each ends what glibc would find out about both by itself, so both are given.
  const bool isKept = mallopt(M_TRIM_THRESHOLD, kFreedBytesKept) == 1;
  const bool isMapped = mallopt(M_MMAP_THRESHOLD, kMappingBytesMin) == 1;
  return Napi::Boolean::New(info.Env(), isKept && isMapped);
#else
  return Napi::Boolean::New(info.Env(), false);
#endif
}

}  // namespace

void defineHeap(Napi::Env env, Napi::Object exports) {
  exports.Set("keepFreedMemory", Napi::Function::New<keepFreedMemory>(env, "keepFreedMemory"));
}

}  // namespace pointsman
