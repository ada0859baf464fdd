// Makes socket calls of the engine fail: the n-th of a kind, with an errno of choice.
#pragma once

#include <cstdint>

namespace pointsman::test {

// `call` is "socket", "connect", "sendmsg", "recv" or "watch", the last one the loop's; the `nth`
// (from 1) fails once, or, `isLasting`, it and all after.
void setFault(const char* call, uint32_t nth, int error, bool isLasting = false);
void clearFaults();
// While one lives, calls neither fail nor count: they are the test's own.
class FaultsSuspended {
 public:
  FaultsSuspended();
  ~FaultsSuspended();
  FaultsSuspended(const FaultsSuspended&) = delete;
  FaultsSuspended& operator=(const FaultsSuspended&) = delete;
};
// Calls of the kind that is set, since setFault.
uint32_t faultCalls();

}  // namespace pointsman::test
