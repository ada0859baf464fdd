// System errors as JS has them.
#pragma once

#include <napi.h>

namespace pointsman {

// Throws a JS Error with `code` (EADDRINUSE, ...) and `syscall`, as Node's own errors have; answers
// an empty value.
Napi::Value throwErrno(Napi::Env env, int error, const char* call);

}  // namespace pointsman
