// What finding an endpoint by its name costs, and whether it depends on how many there are.
#include <array>
#include <string>
#include <vector>

#include "core/rng.h"
#include "micro.h"
#include "net/routing_table.h"

using namespace pointsman;
using namespace pointsman::bench;

namespace {

constexpr size_t kAsked = 1'024;

std::string nameOf(size_t index) {
  return "endpoint-" + std::to_string(index);
}

void measureTable(size_t count) {
  RoutingTable table(1);
  for (size_t i = 0; i < count; ++i) {
    const std::array<uint32_t, 2> weights{900'000, 100'000};
    std::vector<EntityTarget> entities{{"a", 0, {}, {}}, {"b", 1, {}, {}}};
    table.endpoints().set(
        nameOf(i), makeRef<EndpointRoutes>(*AliasTable::build(weights), std::move(entities)));
  }
  Xoshiro256pp rng(kSeed);
  std::vector<std::string> asked;
  for (size_t i = 0; i < kAsked; ++i) {
    asked.push_back(nameOf(scaleDraw(rng.next(), static_cast<uint32_t>(count))));
  }
  size_t at = 0;
  const std::string name = "routing table, " + std::to_string(count) + " endpoints";
  measure(name.c_str(), [&] {
    const EndpointRoutes* routes = table.find(asked[at++ % kAsked]);
    return routes->pick(rng.next()).statsSlot + 1;
  });
}

}  // namespace

int main() {
  for (const size_t count : {2, 100, 10'000}) measureTable(count);
}
