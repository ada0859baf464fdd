#include "core/entity_stats.h"

#include <array>
#include <utility>

#include "test/check.h"

namespace pointsman {
namespace {

void testBoundsAreInclusive() {
  constexpr std::array<std::pair<uint64_t, size_t>, 8> kCases = {{
      {0, 0},
      {1'000, 0},
      {1'001, 1},
      {2'000, 1},
      {5'000, 2},
      {300'000'000, 15},
      {300'000'001, 16},
      {~uint64_t{0}, 16},
  }};
  for (const auto& [microseconds, bucket] : kCases) {
    LatencyHistogram histogram{};
    histogram.record(microseconds);
    CHECK_EQUAL(histogram.counts[bucket], uint64_t{1});
    CHECK_EQUAL(histogram.total(), uint64_t{1});
    CHECK_EQUAL(histogram.sumMicroseconds, microseconds);
  }
}

void testSumsAdd() {
  LatencyHistogram histogram{};
  for (uint64_t i = 1; i <= 1'000; ++i) histogram.record(i);
  CHECK_EQUAL(histogram.counts[0], uint64_t{1'000});
  CHECK_EQUAL(histogram.sumMicroseconds, uint64_t{500'500});
}

void testStatusClasses() {
  EntityStats stats{};
  for (const uint32_t status : {100U, 200U, 204U, 302U, 404U, 499U, 500U, 599U, 0U, 99U, 600U}) {
    stats.recordAnswer(status, 10, false);
  }
  stats.recordAnswer(200, 10, true);
  CHECK((stats.jsClasses == std::array<uint64_t, 5>{1, 2, 1, 2, 5}));
  CHECK((stats.nativeClasses == std::array<uint64_t, 5>{0, 1, 0, 0, 0}));
  CHECK_EQUAL(stats.answers(1), uint64_t{3});
  CHECK_EQUAL(stats.latency.total(), uint64_t{12});
}

}  // namespace
}  // namespace pointsman

int main() {
  pointsman::testBoundsAreInclusive();
  pointsman::testSumsAdd();
  pointsman::testStatusClasses();
  return pointsman::test::finishChecks();
}
