// Makes socket calls of the engine fail: the n-th of a kind, with an errno of choice.
#pragma once

#include <cstdint>

namespace pointsman::test {

// `call` is "socket", "connect", "sendmsg", "recv", "watch", which is the loop's, or "allocation"
// where failing_new.h is included; the `nth`
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
// While one lives inside such a time, they do again.
class FaultsResumed {
 public:
  FaultsResumed();
  ~FaultsResumed();
  FaultsResumed(const FaultsResumed&) = delete;
  FaultsResumed& operator=(const FaultsResumed&) = delete;

 private:
  uint32_t suspensions_;
};
// A fault is set, and calls are the code's under test.
bool areFaultsOn();
// Calls of the kind that is set, since setFault.
uint32_t faultCalls();

}  // namespace pointsman::test
