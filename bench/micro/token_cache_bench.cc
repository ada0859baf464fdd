// What it costs to know a token again.
#include <string>
#include <vector>

#include "core/rng.h"
#include "front/token_cache.h"
#include "micro.h"

using namespace pointsman;
using namespace pointsman::bench;

namespace {

std::vector<std::string> makeTokens(size_t count, size_t bytes, Xoshiro256pp& rng) {
  std::vector<std::string> tokens(count, "Bearer ");
  for (std::string& token : tokens) {
    while (token.size() < bytes) token.push_back(static_cast<char>('a' + rng.next() % 26));
  }
  return tokens;
}

void measureLookups(const char* name, size_t count, size_t bytes) {
  Xoshiro256pp rng(7);
  TokenCache cache(rng.next());
  const std::vector<std::string> tokens = makeTokens(count, bytes, rng);
  for (const std::string& token : tokens) cache.insert(token, 1, 0);
  measure(name, [&] {
    return static_cast<uint64_t>(cache.contains(tokens[rng.next() % count], 1, 1'000));
  });
}

}  // namespace

int main() {
  measureLookups("token lookup, 1 token of 50 bytes", 1, 50);
  measureLookups("token lookup, 1,000 tokens of 50 bytes", 1'000, 50);
  measureLookups("token lookup, 1,000 tokens of 900 bytes", 1'000, 900);
}
