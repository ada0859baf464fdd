// Builds the choice among addresses; the pick itself is inline in the header.
#include "core/two_choices.h"

namespace pointsman {

std::optional<TwoChoices> TwoChoices::build(std::span<const uint32_t> weights) {
  // Drained addresses are left out of the table, so that the second draw cannot fall on one either.
  std::vector<Choice> choices;
  std::vector<uint32_t> positive;
  if (weights.size() > kAliasSlotsMax) return std::nullopt;
  choices.reserve(weights.size());
  positive.reserve(weights.size());
  for (size_t i = 0; i < weights.size(); ++i) {
    if (weights[i] == 0) continue;
    choices.push_back({static_cast<uint32_t>(i), weights[i]});
    positive.push_back(weights[i]);
  }
  std::optional<AliasTable> table = AliasTable::build(positive);
  if (!table) return std::nullopt;
  return TwoChoices(std::move(*table), std::move(choices));
}

}  // namespace pointsman
