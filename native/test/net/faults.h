// Makes socket calls of the engine fail: the n-th of a kind, with an errno of choice.
#pragma once

#include <cstdint>

namespace pointsman::test {

// `call` is "socket", "connect", "sendmsg" or "recv"; the `nth` (from 1) fails once, or,
// `isLasting`, it and all after.
void setFault(const char* call, uint32_t nth, int error, bool isLasting = false);
void clearFaults();
// Calls of the kind that is set, since setFault.
uint32_t faultCalls();

}  // namespace pointsman::test
