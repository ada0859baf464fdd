// Times one operation of the native core. A bench is a file *_bench.cc in this folder with a main
// like this, and nothing else to register:
//
//   int main() {
//     AliasTable table = ...;
//     Xoshiro256pp rng(kSeed);
//     measure("alias draw, 100 entities", [&] { return table.pick(rng.next()); });
//   }
//
// The function is called some millions of times in batches; what it answers is added up, so that
// the compiler cannot leave it out. The sum must not be 0, or the program fails: an operation that
// does nothing is quickly done. Prints a line of JSON per operation with nanoseconds per call.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <vector>

namespace pointsman::bench {

inline constexpr uint64_t kSeed = 20'260'801;
inline constexpr size_t kBatches = 15;
inline constexpr double kBatchNs = 10'000'000;

// CPU time of this thread: what others do on the core meanwhile does not count.
inline double cpuNs() noexcept {
  timespec now{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) * 1e9 + static_cast<double>(now.tv_nsec);
}

template <class Operation>
double batchNs(Operation& operation, uint64_t calls, uint64_t& sum) {
  const double start = cpuNs();
  for (uint64_t i = 0; i < calls; ++i) sum += static_cast<uint64_t>(operation());
  return cpuNs() - start;
}

template <class Operation>
void measure(const char* name, Operation operation) {
  uint64_t sum = 0;
  uint64_t calls = 64;
  // Grows the batch to its length; that is the warm-up too.
  for (;;) {
    const double ns = batchNs(operation, calls, sum);
    if (ns >= kBatchNs) break;
    calls = ns < kBatchNs / 16 ? calls * 8 : calls * 2;
  }
  std::vector<double> perCall;
  for (size_t i = 0; i < kBatches; ++i) {
    perCall.push_back(batchNs(operation, calls, sum) / static_cast<double>(calls));
  }
  if (sum == 0) {
    std::fprintf(stderr, "%s: answers nothing but 0\n", name);
    std::exit(1);
  }
  std::sort(perCall.begin(), perCall.end());
  std::printf("{\"name\":\"%s\",\"ns\":%.3f}\n", name, perCall[kBatches / 2]);
}

}  // namespace pointsman::bench
