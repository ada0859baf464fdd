// Keeps what the process has in memory out of core files: tokens, keys and the bodies of requests.
#pragma once

#include <napi.h>

namespace pointsman {

// Adds disableCoreDumps to the exports.
void defineCoreDumps(Napi::Env env, Napi::Object exports);

}  // namespace pointsman
