// Worker processes: starting them and learning of their end.
#pragma once

#include <napi.h>

namespace pointsman {

// Adds openNursery and spawnProcess to the exports.
void defineProcesses(Napi::Env env, Napi::Object exports);

}  // namespace pointsman
