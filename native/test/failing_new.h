// Makes allocations of the program that includes it fail, as calls of the kind "allocation" of
// net/faults.h.
//
// Those that may fail ask with std::nothrow, as all code must that runs for a request. The other
// form ends the process when memory runs out, so where it is used while faults are on the code
// under test is wrong: such calls are counted, and the first is shown with its stack. Replaces the
// global operator new; to be included by one file of a program.
#pragma once

#include <sanitizer/common_interface_defs.h>

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <iostream>
#include <new>

#include "net/sys.h"
#include "test/net/faults.h"

namespace pointsman::test {

inline uint64_t infallibleAllocations = 0;

inline void noteInfallibleAllocation() {
  const FaultsSuspended own;
  if (infallibleAllocations++ > 0) return;
  std::cerr << "an allocation that must not fail:\n";
  __sanitizer_print_stack_trace();
}

}  // namespace pointsman::test

void* operator new(size_t size) {
  if (pointsman::test::areFaultsOn()) pointsman::test::noteInfallibleAllocation();
  void* memory = std::malloc(size);
  if (memory == nullptr) std::abort();
  return memory;
}
void* operator new(size_t size, const std::nothrow_t& /*tag*/) noexcept {
  return pointsman::sys::faultOf("allocation") != 0 ? nullptr : std::malloc(size);
}
void operator delete(void* memory) noexcept {
  std::free(memory);
}
void operator delete(void* memory, size_t) noexcept {
  std::free(memory);
}
