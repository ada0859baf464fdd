// Priorities and time slices: what lets a worker run the moment it wakes up while the supervisor is
// busy with a change on the same core.
//
// A kernel since 6.6 lets the thread that wakes up run at once only if it has had less than its
// share of late, and looks again at the next tick, up to 4 ms later. A worker wakes up twice per
// request, some microseconds after it last ran, so with the supervisor's priority it has mostly had
// more than half when the supervisor is the other. With a supervisor that is due a tenth of the
// core it has not. (A priority is a share of a core that is wanted by others too, no more.) Slices
// count from 6.12 on: of two that may run, the one with the shorter slice interrupts the other.
#pragma once

#include <napi.h>

namespace pointsman {

// Adds yieldToWorkers and runAtOnce to the exports.
void defineScheduling(Napi::Env env, Napi::Object exports);

}  // namespace pointsman
