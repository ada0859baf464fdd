// Builds alias tables; the draw itself is inline in the header.
#include "core/alias_table.h"

#include <limits>
#include <utility>

namespace pointsman {

std::optional<AliasTable> AliasTable::build(std::span<const uint32_t> weights) {
  const size_t count = weights.size();
  if (count == 0 || count > kAliasSlotsMax) return std::nullopt;
  uint64_t sum = 0;
  for (const uint32_t weight : weights) sum += weight;
  if (sum == 0 || sum > std::numeric_limits<uint32_t>::max()) return std::nullopt;

  // Units each item has still to place. An item with less than a slot's room is small, the others
  // are large.
  GrowingArray<uint64_t> left;
  GrowingArray<Slot> slots;
  // As stacks: no item is on both, and each is put on one of them twice at most.
  GrowingArray<uint32_t> small;
  GrowingArray<uint32_t> large;
  if (!left.resize(count) || !slots.resize(count) || !small.reserve(count) ||
      !large.reserve(count)) {
    return std::nullopt;
  }
  for (size_t i = 0; i < count; ++i) {
    left[i] = uint64_t{weights[i]} * count;
    (void)(left[i] < sum ? small : large).add(static_cast<uint32_t>(i));
  }

  // A small item goes into its own slot and a large one fills the rest. All items together own
  // exactly the room of all slots, so while a small one waits a large one does too, and at the end
  // every remaining item owns exactly one slot.
  while (!small.empty() && !large.empty()) {
    const uint32_t less = small.back();
    const uint32_t more = large.back();
    small.removeLast();
    slots[less] = {static_cast<uint32_t>(left[less]), more};
    left[more] -= sum - left[less];
    if (left[more] < sum) {
      large.removeLast();
      (void)small.add(more);
    }
  }
  for (const uint32_t item : large) slots[item] = {static_cast<uint32_t>(sum), item};
  return AliasTable(std::move(slots), static_cast<uint32_t>(sum));
}

uint64_t AliasTable::massForTest(uint32_t index) const noexcept {
  uint64_t mass = 0;
  for (size_t i = 0; i < slots_.size(); ++i) {
    if (i == index) mass += slots_[i].threshold;
    if (slots_[i].alias == index) mass += weightSum_ - slots_[i].threshold;
  }
  return mass;
}

}  // namespace pointsman
