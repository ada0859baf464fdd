// Durations of any length in buckets whose width grows with the value.
//
// 128 buckets per power of two: a reported quantile is at most 0.8 % above the true one, from a
// nanosecond to hours, in a fixed 57 KiB. Recording never allocates, so a long stall is recorded as
// surely as a short one.
#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>

namespace pointsman::bench {

class Histogram {
 public:
  void record(uint64_t nanoseconds) noexcept {
    ++counts_[bucketOf(nanoseconds)];
    ++total_;
    sum_ += nanoseconds;
    max_ = std::max(max_, nanoseconds);
  }

  uint64_t total() const noexcept { return total_; }
  uint64_t max() const noexcept { return max_; }
  double mean() const noexcept {
    return total_ == 0 ? 0 : static_cast<double>(sum_) / static_cast<double>(total_);
  }

  // The value that `share` of all are at most, rounded up to the end of its bucket; 0 when empty.
  uint64_t quantile(double share) const noexcept {
    const auto wanted = static_cast<uint64_t>(share * static_cast<double>(total_));
    uint64_t seen = 0;
    for (size_t i = 0; i < counts_.size(); ++i) {
      seen += counts_[i];
      if (seen > wanted || (seen == total_ && total_ > 0)) return std::min(lastOf(i), max_);
    }
    return 0;
  }

 private:
  static constexpr unsigned kSubBits = 7;
  static constexpr size_t kSub = size_t{1} << kSubBits;

  // Values below kSub have a bucket each; above, the leading kSubBits + 1 bits choose it.
  static size_t bucketOf(uint64_t value) noexcept {
    if (value < kSub) return static_cast<size_t>(value);
    const auto shift = static_cast<unsigned>(std::bit_width(value)) - kSubBits - 1;
    return (size_t{shift} << kSubBits) + static_cast<size_t>(value >> shift);
  }

  static uint64_t lastOf(size_t bucket) noexcept {
    if (bucket < 2 * kSub) return bucket;
    const size_t shift = (bucket >> kSubBits) - 1;
    return ((bucket - (shift << kSubBits) + 1) << shift) - 1;
  }

  std::array<uint64_t, (64 - kSubBits + 1) * kSub> counts_{};
  uint64_t total_ = 0;
  uint64_t sum_ = 0;
  uint64_t max_ = 0;
};

}  // namespace pointsman::bench
