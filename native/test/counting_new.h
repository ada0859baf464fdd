// Counts every allocation of the program that includes it, so that a test can show a path makes
// none.
//
// Replaces the global operator new; to be included by one file of a program.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <new>

namespace pointsman::test {
inline uint64_t allocationCount = 0;
}  // namespace pointsman::test

void* operator new(size_t size) {
  ++pointsman::test::allocationCount;
  void* memory = std::malloc(size);
  if (memory == nullptr) std::abort();
  return memory;
}
void* operator new(size_t size, const std::nothrow_t& /*tag*/) noexcept {
  return operator new(size);
}
void operator delete(void* memory) noexcept {
  std::free(memory);
}
void operator delete(void* memory, size_t) noexcept {
  std::free(memory);
}
