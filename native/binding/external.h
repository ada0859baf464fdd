// The address behind a raw v8::External.
//
// uWebSockets.js hands its listen socket to JS that way; napi_get_value_external misreads externals
// that Node-API did not make, so external.cc is the one file that includes v8.h.
#pragma once

#include <napi.h>

namespace pointsman {

// nullptr when the value is no External.
void* externalAddress(const Napi::Value& value) noexcept;

}  // namespace pointsman
