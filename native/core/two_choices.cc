// Builds the choice among addresses; the pick itself is inline in the header.
#include "core/two_choices.h"

namespace pointsman {

std::optional<TwoChoices> TwoChoices::build(std::span<const uint32_t> weights) {
  // Drained addresses are left out of the table, so that the second draw cannot fall on one either.
  GrowingArray<Choice> choices;
  GrowingArray<uint32_t> positive;
  if (weights.size() > kAliasSlotsMax || !choices.reserve(weights.size()) ||
      !positive.reserve(weights.size())) {
    return std::nullopt;
  }
  for (size_t i = 0; i < weights.size(); ++i) {
    if (weights[i] == 0) continue;
    (void)choices.add({static_cast<uint32_t>(i), weights[i]});
    (void)positive.add(weights[i]);
  }
  std::optional<AliasTable> table = AliasTable::build(positive);
  if (!table) return std::nullopt;
  return TwoChoices(std::move(*table), std::move(choices));
}

}  // namespace pointsman
