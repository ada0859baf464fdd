#include "test/net/faults.h"

#include <string_view>

#include "net/sys.h"

namespace pointsman::test {

namespace {

// One thread, one fault at a time: a program of tests has no use for more.
std::string_view faultyCall;            // NOLINT: a test's state
uint32_t faultNth = 0;                  // NOLINT
uint32_t calls = 0;                     // NOLINT
int faultError = 0;                     // NOLINT
bool isFaultLasting = false;            // NOLINT
thread_local uint32_t suspensions = 0;  // NOLINT: loops of several threads watch

}  // namespace

void setFault(const char* call, uint32_t nth, int error, bool isLasting) {
  faultyCall = call;
  faultNth = nth;
  faultError = error;
  isFaultLasting = isLasting;
  calls = 0;
}

void clearFaults() {
  faultyCall = {};
  calls = 0;
}

FaultsSuspended::FaultsSuspended() {
  suspensions++;
}

FaultsSuspended::~FaultsSuspended() {
  suspensions--;
}

FaultsResumed::FaultsResumed() : suspensions_(suspensions) {
  suspensions = 0;
}

FaultsResumed::~FaultsResumed() {
  suspensions = suspensions_;
}

bool areFaultsOn() {
  return !faultyCall.empty() && suspensions == 0;
}

uint32_t faultCalls() {
  return calls;
}

}  // namespace pointsman::test

namespace pointsman::sys {

int faultOf(const char* call) noexcept {
  using namespace pointsman::test;  // NOLINT: its state lives there
  if (faultyCall != call || suspensions > 0) return 0;
  calls++;
  const bool isHit = calls == faultNth || (isFaultLasting && calls > faultNth);
  return isHit ? faultError : 0;
}

}  // namespace pointsman::sys
