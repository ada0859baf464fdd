// The tests' whole framework: CHECK counts and reports, finishChecks() is main's result.
//
// A failed check prints where and what and goes on, so that one run shows every failure; the count
// of checks guards against a test that checks nothing.
#pragma once

#include <cstdint>
#include <cstdio>
#include <iostream>

namespace pointsman::test {

inline uint64_t checkCount = 0;
inline uint64_t failureCount = 0;

// Reports are cut off here: a broken table fails thousands of checks in the same way.
inline constexpr uint64_t kReportsMax = 20;

inline bool noteCheck(bool isTrue, const char* file, int line, const char* what) {
  ++checkCount;
  if (isTrue) return true;
  if (++failureCount <= kReportsMax) std::cerr << file << ':' << line << ": " << what << '\n';
  return false;
}

template <class A, class B>
bool noteEqual(const A& actual, const B& expected, const char* file, int line, const char* what) {
  if (noteCheck(actual == expected, file, line, what)) return true;
  if (failureCount <= kReportsMax) {
    std::cerr << "  actual:   " << actual << "\n  expected: " << expected << '\n';
  }
  return false;
}

// Exit code of the test program.
inline int finishChecks() {
  if (failureCount == 0 && checkCount > 0) return 0;
  std::cerr << failureCount << " of " << checkCount << " checks failed\n";
  return 1;
}

}  // namespace pointsman::test

#define CHECK(condition) \
  ::pointsman::test::noteCheck(static_cast<bool>(condition), __FILE__, __LINE__, #condition)
#define CHECK_EQUAL(actual, expected)                                    \
  ::pointsman::test::noteEqual((actual), (expected), __FILE__, __LINE__, \
                               #actual " equals " #expected)
