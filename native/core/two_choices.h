// Picks one address among the ready ones: two random draws by weight, the less loaded of the two
// wins.
//
// Immutable after build, like the alias table it draws from; loads are read through the caller's
// function at the moment of the pick. Without load the first draw stands, so traffic is
// proportional to weight; under load the second draw keeps the fullest address from growing, at two
// reads instead of one per address. Rejected: least connections over all addresses (linear, and
// every worker herds onto the same one).
#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>
#include <span>
#include <utility>

#include "core/alias_table.h"
#include "core/growing_array.h"
#include "core/rng.h"

namespace pointsman {

// A load function answers this for an address to avoid (just failed, full). It then wins only
// against another such address or when it is the only one.
inline constexpr uint32_t kLoadUnavailable = std::numeric_limits<uint32_t>::max();

class TwoChoices {
 public:
  // `weights[i]` belongs to address i; zero drains an address: it is never picked. Null as for
  // AliasTable::build. Allocates.
  static std::optional<TwoChoices> build(std::span<const uint32_t> weights);

  // Index of the picked address, in the order of the weights given to build. `loadOf(index)`
  // answers the requests in flight at that address, or kLoadUnavailable; it is called at most once
  // for each of two different addresses and must not throw.
  //
  // HOT: two or three random numbers, two table draws, two loads, one cross multiplication; no
  // allocation.
  template <class LoadOf>
  uint32_t pick(Xoshiro256pp& rng, LoadOf&& loadOf) const noexcept {
    const auto count = static_cast<uint32_t>(choices_.size());
    if (count == 1) return choices_[0].index;
    const uint32_t first = table_.pick(rng.next());
    uint32_t second = table_.pick(rng.next());
    if (second == first) {
      second = scaleDraw(rng.next(), count - 1);
      if (second >= first) ++second;
    }
    const Choice a = choices_[first];
    const Choice b = choices_[second];
    return isLessLoaded(loadOf(b.index), b.weight, loadOf(a.index), a.weight) ? b.index : a.index;
  }

  // Addresses that can be picked, those with a weight above zero.
  size_t size() const noexcept { return choices_.size(); }

 private:
  struct Choice {
    uint32_t index;
    uint32_t weight;
  };

  TwoChoices(AliasTable table, GrowingArray<Choice> choices) noexcept
      : table_(std::move(table)), choices_(std::move(choices)) {}

  // Compares load / weight without dividing; both products fit 64 bits.
  static bool isLessLoaded(uint32_t loadA, uint32_t weightA, uint32_t loadB,
                           uint32_t weightB) noexcept {
    if (loadA == kLoadUnavailable) return false;
    if (loadB == kLoadUnavailable) return true;
    return uint64_t{loadA} * weightB < uint64_t{loadB} * weightA;
  }

  AliasTable table_;
  GrowingArray<Choice> choices_;
};

}  // namespace pointsman
