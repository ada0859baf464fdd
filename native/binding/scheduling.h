// How long a process may keep a core from others: what lets a worker run the moment it wakes up
// while the supervisor is busy with a change on the same core.
#pragma once

#include <napi.h>

namespace pointsman {

// Adds setTimeSlice to the exports.
void defineScheduling(Napi::Env env, Napi::Object exports);

}  // namespace pointsman
