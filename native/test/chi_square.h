// Goodness of fit of counts to integer weights, with the critical values at p = 0.001.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <numeric>
#include <span>

namespace pointsman::test {

// True when chi-square does not reject the weights at p = 0.001. A weight of zero takes no count at
// all. At most seven positive weights.
inline bool fitsWeights(std::span<const uint64_t> counts, std::span<const uint32_t> weights) {
  constexpr std::array<double, 7> kCritical = {0.0, 10.83, 13.82, 16.27, 18.47, 20.52, 22.46};
  const auto total =
      static_cast<double>(std::accumulate(counts.begin(), counts.end(), uint64_t{0}));
  const auto sum =
      static_cast<double>(std::accumulate(weights.begin(), weights.end(), uint64_t{0}));
  double chiSquare = 0;
  size_t positiveCount = 0;
  for (size_t i = 0; i < weights.size(); ++i) {
    if (weights[i] == 0) {
      if (counts[i] != 0) return false;
      continue;
    }
    const double expected = total * weights[i] / sum;
    const double difference = static_cast<double>(counts[i]) - expected;
    chiSquare += difference * difference / expected;
    ++positiveCount;
  }
  return positiveCount >= 1 && positiveCount <= kCritical.size() &&
         chiSquare <= kCritical[positiveCount - 1];
}

}  // namespace pointsman::test
