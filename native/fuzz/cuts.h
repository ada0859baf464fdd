// Cut points from a seed, for targets that feed the same bytes in different pieces.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace pointsman::fuzz {

// Ascending offsets within `size`, for pieces of 1 to `longest` bytes.
inline std::vector<size_t> makeCuts(size_t size, uint32_t seed, size_t longest) {
  std::vector<size_t> cuts;
  for (size_t at = 0; at < size;) {
    seed = seed * 1'664'525U + 1'013'904'223U;
    at += 1 + (seed >> 16) % longest;
    if (at < size) cuts.push_back(at);
  }
  return cuts;
}

}  // namespace pointsman::fuzz
