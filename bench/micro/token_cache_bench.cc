// What a known token costs a request: finding it by its bytes, and judging whether it opens the
// endpoint. The values are as long as ours of ES256 with a claim for one endpoint.
#include <numeric>
#include <string>
#include <vector>

#include "core/rng.h"
#include "front/token_cache.h"
#include "micro.h"
#include "net/token_grant.h"
#include "net/wall_clock.h"

using namespace pointsman;
using namespace pointsman::bench;

namespace {

constexpr size_t kAsked = 1'024;
constexpr size_t kTokenBytes = 700;
constexpr uint64_t kEpoch = 1;
constexpr uint64_t kHourMs = 3'600'000;

std::string tokenOf(Xoshiro256pp& rng) {
  static constexpr std::string_view kLetters =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
  std::string token = "Bearer ";
  while (token.size() < kTokenBytes) token.push_back(kLetters[rng.next() % kLetters.size()]);
  return token;
}

void measureLookup(size_t count, uint64_t expiresAtMs) {
  Xoshiro256pp rng(kSeed);
  TokenCache cache(rng.next());
  std::vector<std::string> asked;
  for (size_t i = 0; i < count; ++i) {
    std::string token = tokenOf(rng);
    cache.insert(token, kEpoch, expiresAtMs, makeRef<TokenGrant>(TokenTerms{.holders = {4, 17}}));
    if (asked.size() < kAsked) asked.push_back(std::move(token));
  }
  size_t at = 0;
  const std::string end = expiresAtMs == 0 ? " without an end" : "";
  const std::string name = "token lookup, " + std::to_string(count) + " tokens" + end;
  measure(name.c_str(), [&] {
    return cache.find(asked[at++ % asked.size()], kEpoch, unixMs) != nullptr ? 1 : 0;
  });
}

void measurePermission(uint32_t readers) {
  std::vector<uint32_t> granted(readers);
  std::iota(granted.begin(), granted.end(), 100U);
  const TokenGrant grant({.holders = {4, 17, 99 + readers}});
  const std::string name = "permission, " + std::to_string(readers) + " readers";
  measure(name.c_str(), [&] { return grant.opens("0f3c5a", "e", granted) ? 1 : 0; });
}

void measureLimited() {
  const TokenGrant grant(
      {.everything = true, .limited = true, .endpoints = {"0123456789abcdef", "fedcba9876543210"}});
  measure("permission, token of two endpoints",
          [&] { return grant.opens("fedcba9876543210", "e", {}) ? 1 : 0; });
}

}  // namespace

int main() {
  for (const size_t count : {16, 1'000, 60'000}) measureLookup(count, unixMs() + kHourMs);
  measureLookup(16, 0);
  for (const uint32_t readers : {1, 10, 1'000}) measurePermission(readers);
  measureLimited();
}
