#include "front/token_cache.h"

#include <string>

#include "check.h"
#include "counting_new.h"

using namespace pointsman;

namespace {

template <uint64_t kNowMs>
uint64_t at() noexcept {
  return kNowMs;
}

int looksAtTheClock = 0;
uint64_t counted() noexcept {
  looksAtTheClock++;
  return 0;
}

Ref<TokenGrant> grantOf(uint32_t holder) {
  return makeRef<TokenGrant>(TokenTerms{.holders = {holder}});
}

void testFind() {
  TokenCache cache(1);
  CHECK(cache.find("Bearer a", 1, at<100>) == nullptr);
  cache.insert("Bearer a", 1, 200, grantOf(1));
  cache.insert("Bearer b", 1, 0, grantOf(2));
  CHECK(cache.find("Bearer a", 1, at<199>) != nullptr);
  CHECK(cache.find("Bearer a", 1, at<200>) == nullptr);
  CHECK(cache.find("Bearer a ", 1, at<100>) == nullptr);
  CHECK(cache.find("bearer a", 1, at<100>) == nullptr);
  const uint32_t two[] = {2};
  CHECK(cache.find("Bearer b", 1, at<1'000'000>)->grant->opens("", "e", two));
  // A change of who may call: none of them is good any more, until it is judged anew.
  CHECK(cache.find("Bearer b", 2, at<100>) == nullptr);
  cache.insert("Bearer b", 2, 0, grantOf(3));
  CHECK_EQUAL(cache.entries(), 2U);
  CHECK(!cache.find("Bearer b", 2, at<100>)->grant->opens("", "e", two));
}

// What the signature proved outlives the verdict, but not the keys.
void testProof() {
  TokenCache cache(1);
  CHECK(!cache.wasGood("Bearer a"));
  CHECK_EQUAL(cache.proofOf("Bearer a", 0), "");
  cache.insert("Bearer a", 1, 200, grantOf(1), {.verified = "{}", .trustVersion = 3});
  cache.insert("Bearer b", 1, 0, grantOf(1));
  CHECK_EQUAL(cache.proofOf("Bearer a", 3), "{}");
  CHECK(cache.find("Bearer a", 2, at<300>) == nullptr);
  CHECK(cache.wasGood("Bearer a"));
  CHECK_EQUAL(cache.proofOf("Bearer a", 3), "{}");
  CHECK_EQUAL(cache.proofOf("Bearer a", 4), "");
  CHECK_EQUAL(cache.proofOf("Bearer b", 3), "");
  CHECK(!cache.wasGood("Bearer "));
  // With each verdict comes what it rests on.
  const size_t bytes = cache.bytes();
  cache.insert("Bearer a", 2, 300, grantOf(2), {.verified = "{1}", .trustVersion = 4});
  CHECK_EQUAL(cache.proofOf("Bearer a", 4), "{1}");
  CHECK_EQUAL(cache.bytes(), bytes + 1);
  cache.insert("Bearer a", 2, 300, grantOf(2));
  CHECK(cache.wasGood("Bearer a"));
  CHECK_EQUAL(cache.proofOf("Bearer a", 4), "");
  CHECK_EQUAL(cache.bytes(), bytes - 2);
}

// Entries that grow by their proofs drop others, and never the one that has just come.
void testProofsCount() {
  constexpr int kEntries = 80;
  for (int first = 0; first < kEntries; first++) {
    TokenCache cache(1);
    for (int i = 0; i < kEntries; i++) cache.insert("c" + std::to_string(i), 1, 0, {});
    for (int i = 0; i < kEntries; i++) {
      const std::string value = "c" + std::to_string((first + i) % kEntries);
      cache.insert(value, 1, 0, {}, {.verified = std::string(1'000'000, 'v')});
      CHECK(cache.bytes() <= TokenCache::kBytesMax);
      CHECK(cache.find(value, 1, at<0>) != nullptr);
    }
  }
  TokenCache cache(1);
  cache.insert("a", 1, 0, {});
  cache.insert("a", 1, 0, {}, {.verified = std::string(TokenCache::kBytesMax, 'v')});
  CHECK_EQUAL(cache.proofOf("a", 0), "");
}

void testClockIsForTokensThatEnd() {
  TokenCache cache(1);
  cache.insert("ends", 1, 200, grantOf(1));
  cache.insert("stays", 1, 0, grantOf(1));
  CHECK(cache.find("stays", 1, counted) != nullptr);
  CHECK(cache.find("unknown", 1, counted) == nullptr);
  CHECK(cache.find("ends", 2, counted) == nullptr);
  CHECK_EQUAL(looksAtTheClock, 0);
  CHECK(cache.find("ends", 1, counted) != nullptr);
  CHECK_EQUAL(looksAtTheClock, 1);
}

// A request keeps what its token opened, whatever becomes of the entry.
void testGrantOutlivesEntry() {
  TokenCache cache(1);
  cache.insert("x", 1, 0, grantOf(9));
  const Ref<TokenGrant> kept = cache.find("x", 1, at<0>)->grant;
  for (int i = 0; i < 70'000; i++) cache.insert("y" + std::to_string(i), 1, 0, {});
  CHECK(cache.find("x", 1, at<0>) == nullptr);
  const uint32_t nine[] = {9};
  CHECK(kept->opens("", "e", nine));
}

void testBounds() {
  TokenCache cache(1);
  for (uint32_t i = 0; i < 200'000; i++) {
    cache.insert("Bearer " + std::to_string(i), 1, 0, grantOf(i));
    if (i % 7 == 0) CHECK(cache.find("Bearer 0", 1, at<0>) != nullptr);
  }
  CHECK(cache.entries() <= TokenCache::kEntriesMax);
  CHECK(cache.find("Bearer 0", 1, at<0>) != nullptr);
  CHECK(cache.find("Bearer 199999", 1, at<0>) != nullptr);
  const std::string large(1'000'000, 't');
  for (int i = 0; i < 200; i++) cache.insert(large + std::to_string(i), 1, 0, grantOf(1));
  CHECK(cache.bytes() <= TokenCache::kBytesMax);
  CHECK(cache.find(large + "199", 1, at<0>) != nullptr);
}

void testNoAllocation() {
  TokenCache cache(1);
  const std::string value = "Bearer " + std::string(700, 'x');
  cache.insert(value, 1, 0,
               makeRef<TokenGrant>(TokenTerms{.limited = true,
                                              .holders = {4, 17, 90},
                                              .endpoints = {"0123456789abcdef0123456789abcdef"}}));
  const uint32_t readers[] = {1, 5, 90};
  const uint64_t before = test::allocationCount;
  const Ref<TokenGrant> grant = cache.find(value, 1, at<0>)->grant;
  CHECK(grant->opens("0123456789abcdef0123456789abcdef", "e", readers));
  CHECK(!grant->opens("0123456789abcdef0123456789abcdee", "e", readers));
  CHECK_EQUAL(test::allocationCount, before);
}

// An id is one endpoint's for ever, a name is whosever it is at the moment.
void testNames() {
  const TokenGrant own(TokenTerms{.everything = true, .limited = true, .endpoints = {"id-1"}});
  CHECK(own.opens("id-1", "e", {}));
  CHECK(!own.opens("id-2", "e", {}));
  CHECK(!own.opens("id-2", "id-1", {}));
  const TokenGrant other(
      TokenTerms{.everything = true, .limited = true, .endpoints = {"id-1", "f"}, .byName = true});
  CHECK(other.opens("id-1", "e", {}));
  CHECK(other.opens("id-2", "f", {}));
  CHECK(other.opens("id-3", "f", {}));
  CHECK(!other.opens("id-2", "e", {}));
}

}  // namespace

int main() {
  testNames();
  testFind();
  testProof();
  testProofsCount();
  testClockIsForTokensThatEnd();
  testGrantOutlivesEntry();
  testBounds();
  testNoAllocation();
}
