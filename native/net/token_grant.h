// What a verified token opens: whom it stands for, and the endpoints that it is limited to.
//
// A permission is judged at the moment of dispatch, against the grants of the endpoint as the
// revision has them: `holders` (the principal and its groups) and the endpoint's list are sorted
// numbers, and one number in both is enough. So a permission that is given or taken away is
// effective with the revision that says so, whatever caches hold. Immutable; shared by the cache
// and the requests under way. Thread: the loop's.
#pragma once

#include <algorithm>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "net/ref.h"
#include "net/wall_clock.h"

namespace pointsman {

struct TokenTerms {
  // May query every endpoint, whatever its grants say.
  bool everything = false;
  // Opens nothing but `endpoints`.
  bool limited = false;
  // Ids of the principal and of all groups it belongs to, ascending.
  std::vector<uint32_t> holders{};
  // Ids; names too with `byName`, as who issued the token knows them.
  std::vector<std::string> endpoints{};
  bool byName = false;
};

class TokenGrant final : public RefCounted<TokenGrant> {
 public:
  explicit TokenGrant(TokenTerms terms) noexcept : terms_(std::move(terms)) {}

  // The token says itself that it is for this endpoint. A name means whichever endpoint has it now:
  // looked up earlier, it would still mean one that is gone.
  // HOT: a handful of comparisons, no allocation.
  bool names(std::string_view endpointId, std::string_view endpoint) const noexcept {
    if (!terms_.limited) return false;
    for (const std::string& known : terms_.endpoints) {
      if (known == endpointId || (terms_.byName && known == endpoint)) return true;
    }
    return false;
  }

  // `readers`: who may query the endpoint, ascending.
  // HOT: a binary search per holder, no allocation (bench/micro/token_cache_bench.cc).
  bool opens(std::string_view endpointId, std::string_view endpoint,
             std::span<const uint32_t> readers) const noexcept {
    if (terms_.limited && !names(endpointId, endpoint)) return false;
    if (terms_.everything) return true;
    auto reader = readers.begin();
    for (const uint32_t holder : terms_.holders) {
      reader = std::lower_bound(reader, readers.end(), holder);
      if (reader == readers.end()) return false;
      if (*reader == holder) return true;
    }
    return false;
  }

  size_t bytes() const noexcept {
    size_t total = sizeof *this + terms_.holders.size() * sizeof(uint32_t);
    for (const std::string& id : terms_.endpoints) total += sizeof(std::string) + id.size();
    return total;
  }

 private:
  const TokenTerms terms_;
};

// What was found out about a token, and how long that holds.
struct JudgedToken {
  Ref<TokenGrant> grant{};
  uint64_t epoch = 0;
  // Unix time; 0: never by itself.
  uint64_t expiresAtMs = 0;

  // HOT. Under this auth epoch and now; the time is asked for only where the token has an end.
  bool holds(uint64_t authEpoch, WallClock nowMs) const noexcept {
    return epoch == authEpoch && (expiresAtMs == 0 || expiresAtMs > nowMs());
  }
};

}  // namespace pointsman
