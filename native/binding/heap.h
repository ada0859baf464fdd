// How much freed memory the allocator keeps, for a worker that allocates the same sizes again with
// every request.
#pragma once

#include <napi.h>

namespace pointsman {

// Adds keepFreedMemory to the exports.
void defineHeap(Napi::Env env, Napi::Object exports);

}  // namespace pointsman
