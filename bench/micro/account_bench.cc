// What counting an answer costs.
#include "core/entity_stats.h"
#include "core/rng.h"
#include "micro.h"

using namespace pointsman;
using namespace pointsman::bench;

int main() {
  Xoshiro256pp rng(kSeed);
  LatencyHistogram histogram{};
  // Mostly some milliseconds, as of models; the bucket is not the same every time.
  measure("histogram", [&] {
    histogram.record(rng.next() >> 50);
    return histogram.sumMicroseconds & 1;
  });
  EntityStats stats{};
  measure("entity's counters", [&] {
    stats.recordAnswer(200, rng.next() >> 50, true);
    return stats.answers(1);
  });
}
