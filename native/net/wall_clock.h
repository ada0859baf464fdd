// The clock by which tokens end. Not the loop's: that one knows no date.
#pragma once

#include <cstdint>
#include <ctime>

namespace pointsman {

// HOT. Unix milliseconds. Not the coarse clock, which is up to 10 ms late: a token would be good
// for so long behind its end.
inline uint64_t unixMs() noexcept {
  timespec now{};
  clock_gettime(CLOCK_REALTIME, &now);
  return static_cast<uint64_t>(now.tv_sec) * 1'000 + static_cast<uint64_t>(now.tv_nsec) / 1'000'000;
}

// For what may not need to know the time, and in tests has one of its own.
using WallClock = uint64_t (*)() noexcept;

}  // namespace pointsman
