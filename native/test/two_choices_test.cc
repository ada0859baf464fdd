#include "core/two_choices.h"

#include <algorithm>
#include <vector>

#include "test/check.h"
#include "test/chi_square.h"

namespace pointsman {
namespace {

using Weights = std::vector<uint32_t>;

void testRefusals() {
  CHECK(!TwoChoices::build({}));
  CHECK(!TwoChoices::build(Weights{0, 0}));
  CHECK(!TwoChoices::build(Weights(kAliasSlotsMax + 1, 0)));
}

void testOneAddressIsAlwaysPicked() {
  const auto choices = TwoChoices::build(Weights{0, 4, 0});
  Xoshiro256pp rng(3);
  CHECK_EQUAL(choices->size(), size_t{1});
  for (int i = 0; i < 100; ++i) {
    CHECK_EQUAL(choices->pick(rng, [](uint32_t) { return kLoadUnavailable; }), 1U);
  }
}

void testIdleTrafficIsProportional(const Weights& weights) {
  const auto choices = TwoChoices::build(weights);
  Xoshiro256pp rng(11);
  std::vector<uint64_t> counts(weights.size());
  for (int i = 0; i < 300'000; ++i) ++counts[choices->pick(rng, [](uint32_t) { return 0U; })];
  CHECK(test::fitsWeights(counts, weights));
}

// Of two addresses both are always drawn, so the one with less load per weight gets everything.
void testLessLoadedWins() {
  const auto equal = TwoChoices::build(Weights{1, 1});
  const auto unequal = TwoChoices::build(Weights{1, 3});
  Xoshiro256pp rng(5);
  for (int i = 0; i < 1'000; ++i) {
    CHECK_EQUAL(equal->pick(rng, [](uint32_t index) { return index == 0 ? 2U : 1U; }), 1U);
    CHECK_EQUAL(unequal->pick(rng, [](uint32_t index) { return index == 0 ? 1U : 2U; }), 1U);
    CHECK_EQUAL(unequal->pick(rng, [](uint32_t index) { return index == 0 ? 1U : 4U; }), 0U);
  }
}

void testUnavailableIsAvoided() {
  // A load as large as the mark itself is nothing against a huge weight, unless the mark is told
  // apart.
  const auto choices = TwoChoices::build(Weights{4'000'000'000U, 1, 1});
  Xoshiro256pp rng(6);
  for (int i = 0; i < 1'000; ++i) {
    const uint32_t index =
        choices->pick(rng, [](uint32_t of) { return of == 0 ? kLoadUnavailable : 50U; });
    CHECK(index == 1 || index == 2);
  }
}

// The same with the mark on the second draw: beside the first one's load the heavy address would
// look idle.
void testUnavailableIsAvoidedOnTheSecondDraw() {
  const auto choices = TwoChoices::build(Weights{1, 1'000});
  Xoshiro256pp rng(12);
  for (int i = 0; i < 20'000; ++i) {
    const uint32_t index =
        choices->pick(rng, [](uint32_t of) { return of == 1 ? kLoadUnavailable : 1U << 23; });
    CHECK_EQUAL(index, 0U);
  }
}

void testDrainedIsNeverPickedUnderLoad() {
  const Weights weights = {5, 0, 1, 0};
  const auto choices = TwoChoices::build(weights);
  Xoshiro256pp rng(8);
  std::vector<uint32_t> loads(weights.size());
  for (int i = 0; i < 10'000; ++i) {
    const uint32_t index = choices->pick(rng, [&](uint32_t of) { return loads[of]; });
    CHECK(weights[index] > 0);
    ++loads[index];
  }
}

void testEachLoadIsReadOnce() {
  const auto choices = TwoChoices::build(Weights{1, 1, 1, 1, 1});
  Xoshiro256pp rng(9);
  for (int i = 0; i < 1'000; ++i) {
    std::vector<uint32_t> asked;
    choices->pick(rng, [&](uint32_t index) {
      asked.push_back(index);
      return 0U;
    });
    CHECK_EQUAL(asked.size(), size_t{2});
    CHECK(asked[0] != asked[1]);
  }
}

// Requests that never finish: the fullest of ten addresses stays within a few requests of the
// emptiest, where one random choice leaves hundreds between them.
void testLoadStaysEven() {
  const auto choices = TwoChoices::build(Weights(10, 1));
  Xoshiro256pp rng(10);
  std::vector<uint32_t> loads(10);
  for (int i = 0; i < 100'000; ++i)
    ++loads[choices->pick(rng, [&](uint32_t of) { return loads[of]; })];
  const auto [least, most] = std::minmax_element(loads.begin(), loads.end());
  CHECK(*most - *least <= 12);
}

}  // namespace
}  // namespace pointsman

int main() {
  pointsman::testRefusals();
  pointsman::testOneAddressIsAlwaysPicked();
  pointsman::testIdleTrafficIsProportional({1, 1});
  pointsman::testIdleTrafficIsProportional({90, 10});
  pointsman::testIdleTrafficIsProportional({3, 0, 1, 2});
  pointsman::testLessLoadedWins();
  pointsman::testUnavailableIsAvoided();
  pointsman::testUnavailableIsAvoidedOnTheSecondDraw();
  pointsman::testDrainedIsNeverPickedUnderLoad();
  pointsman::testEachLoadIsReadOnce();
  pointsman::testLoadStaysEven();
  return pointsman::test::finishChecks();
}
