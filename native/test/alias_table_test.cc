#include "core/alias_table.h"

#include <limits>
#include <vector>

#include "core/rng.h"
#include "test/check.h"
#include "test/chi_square.h"
#include "test/counting_new.h"

namespace pointsman {
namespace {

using Weights = std::vector<uint32_t>;

void checkExactMass(const Weights& weights) {
  const std::optional<AliasTable> table = AliasTable::build(weights);
  if (!CHECK(table.has_value())) return;
  uint64_t sum = 0;
  for (const uint32_t weight : weights) sum += weight;
  CHECK_EQUAL(table->size(), weights.size());
  CHECK_EQUAL(table->weightSum(), sum);
  for (size_t i = 0; i < weights.size(); ++i) {
    CHECK_EQUAL(table->massForTest(static_cast<uint32_t>(i)),
                uint64_t{weights[i]} * weights.size());
  }
}

void testMassIsExact() {
  constexpr uint32_t kHuge = std::numeric_limits<uint32_t>::max();
  checkExactMass({1});
  checkExactMass({kHuge});
  checkExactMass({90, 10});
  checkExactMass({1, 99});
  checkExactMass({33, 33, 34});
  checkExactMass({0, 5, 0});
  checkExactMass({0, 0, 0, 1});
  checkExactMass({kHuge - 1, 1});
  checkExactMass({1, 0, kHuge - 1});
  checkExactMass({kHuge / 2, kHuge / 2, 1});
  checkExactMass(Weights(1'000, 7));
  checkExactMass({333'333, 333'333, 333'334});
}

void testMassIsExactForRandomWeights() {
  Xoshiro256pp rng(7);
  for (int round = 0; round < 2'000; ++round) {
    Weights weights(1 + scaleDraw(rng.next(), 60));
    // Between few and all 26 bits, with zeros among them: 60 of these stay below the largest sum.
    const uint32_t bound = 1U << scaleDraw(rng.next(), 27);
    for (uint32_t& weight : weights) weight = scaleDraw(rng.next(), bound);
    weights[scaleDraw(rng.next(), static_cast<uint32_t>(weights.size()))] = 1;
    checkExactMass(weights);
  }
}

void testRefusals() {
  CHECK(!AliasTable::build({}));
  CHECK(!AliasTable::build(Weights{0}));
  CHECK(!AliasTable::build(Weights{0, 0, 0}));
  CHECK(!AliasTable::build(Weights{std::numeric_limits<uint32_t>::max(), 1}));
  CHECK(!AliasTable::build(Weights(kAliasSlotsMax + 1, 1)));
  CHECK(AliasTable::build(Weights(kAliasSlotsMax, 4'095)).has_value());
  CHECK(!AliasTable::build(Weights(kAliasSlotsMax, 4'096)));
}

void testFirstAndLastDraw() {
  const auto table = AliasTable::build(Weights{0, 3, 1, 0});
  for (const uint64_t draw : {uint64_t{0}, ~uint64_t{0}, uint64_t{1} << 63, ~uint64_t{0} >> 1}) {
    const uint32_t index = table->pick(draw);
    CHECK(index == 1 || index == 2);
  }
}

// Steps through all 64-bit draws in equal strides: the counts are the table's masses, up to one
// draw at each border between units.
void testEvenDrawsGiveTheMass() {
  const Weights weights = {90, 0, 7, 3};
  const auto table = AliasTable::build(weights);
  constexpr uint64_t kDraws = 400'000;
  std::vector<uint64_t> counts(weights.size());
  for (uint64_t i = 0; i < kDraws; ++i) {
    ++counts[table->pick(i * (~uint64_t{0} / kDraws))];
  }
  for (size_t i = 0; i < weights.size(); ++i) {
    const uint64_t expected = kDraws / 100 * weights[i];
    const uint64_t slack = weights[i] == 0 ? 0 : 8;
    CHECK(counts[i] >= expected - slack && counts[i] <= expected + slack);
  }
}

// Fixed seed, so a right table never fails; a wrong one passes with p = 0.001 at most.
void testSharesOfRandomDraws(const Weights& weights) {
  const auto table = AliasTable::build(weights);
  Xoshiro256pp rng(20'240'817);
  std::vector<uint64_t> counts(weights.size());
  for (int i = 0; i < 1'000'000; ++i) ++counts[table->pick(rng.next())];
  CHECK(test::fitsWeights(counts, weights));
}

void testPickDoesNotAllocate() {
  const auto table = AliasTable::build(Weights{90, 10, 0, 55});
  Xoshiro256pp rng(1);
  uint64_t indexSum = 0;
  const uint64_t before = test::allocationCount;
  for (int i = 0; i < 10'000; ++i) indexSum += table->pick(rng.next());
  CHECK_EQUAL(test::allocationCount - before, uint64_t{0});
  CHECK(indexSum > 0);
  CHECK(before > 0);
}

}  // namespace
}  // namespace pointsman

int main() {
  pointsman::testMassIsExact();
  pointsman::testMassIsExactForRandomWeights();
  pointsman::testRefusals();
  pointsman::testFirstAndLastDraw();
  pointsman::testEvenDrawsGiveTheMass();
  pointsman::testSharesOfRandomDraws({90, 10});
  pointsman::testSharesOfRandomDraws({1, 99});
  pointsman::testSharesOfRandomDraws({33, 33, 34});
  pointsman::testSharesOfRandomDraws({0, 100});
  pointsman::testSharesOfRandomDraws({50, 0, 50, 0, 0});
  pointsman::testSharesOfRandomDraws({900'000, 99'999, 1});
  pointsman::testPickDoesNotAllocate();
  return pointsman::test::finishChecks();
}
