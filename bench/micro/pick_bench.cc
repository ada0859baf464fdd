// What choosing where a request goes costs: alias draw, two choices.
#include <string>
#include <vector>

#include "core/alias_table.h"
#include "core/rng.h"
#include "core/two_choices.h"
#include "micro.h"

using namespace pointsman;
using namespace pointsman::bench;

namespace {

std::vector<uint32_t> weightsOf(size_t count) {
  Xoshiro256pp rng(kSeed);
  std::vector<uint32_t> weights(count);
  for (uint32_t& weight : weights) weight = 1 + scaleDraw(rng.next(), 1'000);
  return weights;
}

}  // namespace

int main() {
  Xoshiro256pp rng(kSeed);
  measure("random number", [&] { return rng.next() >> 32; });
  for (const size_t count : {2, 100, 10'000}) {
    const auto table = AliasTable::build(weightsOf(count));
    const std::string name = "alias draw, " + std::to_string(count) + " entities";
    measure(name.c_str(), [&] { return table->pick(rng.next()) + 1; });
  }
  for (const size_t count : {2, 16, 256}) {
    const auto choices = TwoChoices::build(std::vector<uint32_t>(count, 1));
    std::vector<uint32_t> loads(count);
    const std::string name = "two choices, " + std::to_string(count) + " addresses";
    measure(name.c_str(), [&] {
      const uint32_t index = choices->pick(rng, [&](uint32_t i) { return loads[i]; });
      // Load that moves, as it does when requests come and go.
      loads[index] = (loads[index] + 1) & 7;
      return index + 1;
    });
  }
}
