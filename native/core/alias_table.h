// Draws an index with probability proportional to its integer weight, in constant time.
//
// The table picks the served entity of a routed request. It is immutable after build: one
// contiguous array, owned by the table, built off the hot path and published by swapping whoever
// holds it. Any number of threads may draw from one table.
//
// Walker's alias method in Vose's form, in integers only. With W the sum of n weights, every one of
// the n slots has room for W units; item i owns n * weight(i) units, so all slots together hold
// exactly what all items own and no rounding is left over:
//
//   weights 3 1 0, W = 4, n = 3      slot 0          slot 1          slot 2
//   items own 9 3 0 units            [0 0 0 0]       [1 1 1|0]       [0 0 0 0]
//                                    threshold 4     threshold 3     threshold 0, alias 0
//
// The first `threshold` units of a slot are the slot's own item, the others are its alias.
// Rejected: the usual table of doubles (its leftovers are handed out by rounding, so a weight of
// zero can be drawn) and a sorted list of sums (a search per draw).
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <utility>

#include "core/growing_array.h"
#include "core/rng.h"

namespace pointsman {

// Most items a table takes. Keeps n * W below 2^52, so that one 64-bit draw serves both slot and
// coin.
inline constexpr size_t kAliasSlotsMax = size_t{1} << 20;

class AliasTable {
 public:
  // Null when there is no weight, more than kAliasSlotsMax, no positive one, or a sum that
  // needs more than 32 bits, and when there is no memory for the table. Allocates; time and memory
  // are linear in the number of weights.
  static std::optional<AliasTable> build(std::span<const uint32_t> weights);

  // Index of the drawn item. `draw` is one uniform 64-bit number: its product with n gives the slot
  // above and the coin below the binary point. A weight of zero is never drawn. A unit's chance is
  // off by less than n * W / 2^64 of itself: below 2^-12 at the limits, below 2^-37 for a hundred
  // items in parts per million.
  //
  // HOT: two multiplications, one load, one select; no allocation, lock or exception.
  uint32_t pick(uint64_t draw) const noexcept {
    const Uint128 scaled = static_cast<Uint128>(draw) * slots_.size();
    const auto index = static_cast<uint32_t>(scaled >> 64);
    const uint32_t coin = scaleDraw(static_cast<uint64_t>(scaled), weightSum_);
    const Slot slot = slots_[index];
    return coin < slot.threshold ? index : slot.alias;
  }

  size_t size() const noexcept { return slots_.size(); }
  uint32_t weightSum() const noexcept { return weightSum_; }

  // Units that item `index` owns over all slots: size() times its weight, if the table is right.
  uint64_t massForTest(uint32_t index) const noexcept;

 private:
  struct Slot {
    uint32_t threshold;
    uint32_t alias;
  };
  static_assert(sizeof(Slot) == 8, "eight slots fill a cache line");

  AliasTable(GrowingArray<Slot> slots, uint32_t weightSum) noexcept
      : slots_(std::move(slots)), weightSum_(weightSum) {}

  GrowingArray<Slot> slots_;
  uint32_t weightSum_;
};

}  // namespace pointsman
