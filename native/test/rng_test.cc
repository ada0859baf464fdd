#include "core/rng.h"

#include <array>

#include "test/check.h"

namespace pointsman {
namespace {

// Worked out by an independent implementation (Python integers) of splitmix64 and xoshiro256++.
void testKnownSequence() {
  Xoshiro256pp rng(42);
  constexpr std::array<uint64_t, 4> kExpected = {0xd0764d4f4476689fU, 0x519e4174576f3791U,
                                                 0xfbe07cfb0c24ed8cU, 0xb37d9f600cd835b8U};
  for (const uint64_t expected : kExpected) CHECK_EQUAL(rng.next(), expected);
}

void testSystemSeedsDiffer() {
  Xoshiro256pp one = Xoshiro256pp::fromSystem();
  Xoshiro256pp other = Xoshiro256pp::fromSystem();
  CHECK(one.next() != other.next());
}

void testScaleDrawReachesBothEnds() {
  CHECK_EQUAL(scaleDraw(0, 10), 0U);
  CHECK_EQUAL(scaleDraw(~uint64_t{0}, 10), 9U);
  CHECK_EQUAL(scaleDraw(~uint64_t{0}, 1), 0U);
  CHECK_EQUAL(scaleDraw(uint64_t{1} << 63, 10), 5U);
  CHECK_EQUAL(scaleDraw(~uint64_t{0}, 0xffffffffU), 0xfffffffeU);
}

}  // namespace
}  // namespace pointsman

int main() {
  pointsman::testKnownSequence();
  pointsman::testSystemSeedsDiffer();
  pointsman::testScaleDrawReachesBothEnds();
  return pointsman::test::finishChecks();
}
