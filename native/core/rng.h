// xoshiro256++: the generator behind every draw of the data plane.
//
// One generator per thread, owned by whoever draws and passed in, so that a test can replay a draw
// by its seed. It is not fit for secrets: tokens and ids come from the system's generator. The
// algorithm is Blackman and Vigna's public-domain one; 256 bits of state, period 2^256 - 1.
#pragma once

#include <sys/random.h>

#include <array>
#include <cstdint>
#include <cstdlib>

namespace pointsman {

__extension__ using Uint128 = unsigned __int128;

// Maps a uniform 64-bit draw to 0 .. bound - 1 by a multiplication; `bound` is above zero. No
// value's chance is off by more than one draw in 2^64, so at 32-bit bounds nothing measurable is
// lost.
constexpr uint32_t scaleDraw(uint64_t draw, uint32_t bound) noexcept {
  return static_cast<uint32_t>((static_cast<Uint128>(draw) * bound) >> 64);
}

class Xoshiro256pp {
 public:
  // The seed is spread over the state by splitmix64, which never leaves the state all zero; equal
  // seeds give equal sequences.
  explicit Xoshiro256pp(uint64_t seed) noexcept {
    for (uint64_t& word : state_) {
      seed += 0x9e3779b97f4a7c15U;
      uint64_t z = seed;
      z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9U;
      z = (z ^ (z >> 27)) * 0x94d049bb133111ebU;
      word = z ^ (z >> 31);
    }
  }

  // Seeded by getrandom(2). A call this small fails only on kernels without the call or before the
  // pool is seeded with interrupts pending; a router that would draw from a guessed seed is worse
  // than none, so it aborts.
  static Xoshiro256pp fromSystem() noexcept {
    uint64_t seed = 0;
    if (getrandom(&seed, sizeof seed, 0) != static_cast<ssize_t>(sizeof seed)) std::abort();
    return Xoshiro256pp(seed);
  }

  // HOT: four words of state, no branch.
  uint64_t next() noexcept {
    const uint64_t result = rotateLeft(state_[0] + state_[3], 23) + state_[0];
    const uint64_t carried = state_[1] << 17;
    state_[2] ^= state_[0];
    state_[3] ^= state_[1];
    state_[1] ^= state_[2];
    state_[0] ^= state_[3];
    state_[2] ^= carried;
    state_[3] = rotateLeft(state_[3], 45);
    return result;
  }

 private:
  static constexpr uint64_t rotateLeft(uint64_t value, int bits) noexcept {
    return (value << bits) | (value >> (64 - bits));
  }

  std::array<uint64_t, 4> state_{};
};

}  // namespace pointsman
