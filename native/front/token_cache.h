// Authorization values that were verified, by their exact bytes.
//
// A hit costs one hash of the value, one comparison of all its bytes and three of words, and a look
// at the clock if the token has an end; no allocation. An entry is good until the millisecond of
// its expiry and as long as the auth epoch is the one that it was verified under: any change of
// tokens, principals or permissions raises the epoch and so empties the caches of all workers at
// once. Only good values are kept, so nobody fills the cache who has no token; it is bounded all
// the same, by entries and by bytes, and drops those that were not used for longest (second
// chance). Thread: the loop's.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "net/token_grant.h"

namespace pointsman {

class TokenCache {
 public:
  static constexpr size_t kEntriesMax = 65'536;
  static constexpr size_t kBytesMax = size_t{64} * 1024 * 1024;

  // `seed`: unpredictable, so that nobody can choose values that collide.
  explicit TokenCache(uint64_t seed);

  // HOT. What the value opens when it is known, of this epoch and not expired; else nullptr. Good
  // until the next call that is not const.
  const JudgedToken* find(std::string_view value, uint64_t epoch, WallClock nowMs) noexcept;
  // It was good once, whatever `find` says of it now: nobody can make such a value up.
  bool wasGood(std::string_view value) noexcept;
  // `expiresAtMs` 0: never by itself.
  void insert(std::string_view value, uint64_t epoch, uint64_t expiresAtMs, Ref<TokenGrant> grant);
  size_t entries() const noexcept { return live_; }
  size_t bytes() const noexcept { return bytes_; }

 private:
  struct Entry {
    std::string value;
    uint64_t hash = 0;
    JudgedToken token{};
    bool wasUsed = false;
    bool isLive = false;
  };

  uint64_t hashOf(std::string_view value) const noexcept;
  uint32_t* slotOf(std::string_view value, uint64_t hash) noexcept;
  static size_t bytesOf(const Entry& entry) noexcept;
  void evictOne() noexcept;
  void unlink(uint32_t entry) noexcept;
  void grow();

  uint64_t seed_;
  std::vector<Entry> entries_;
  std::vector<uint32_t> freeEntries_;
  // Open addressing, linear probing; kEmpty or an index into entries_. Size is a power of two.
  std::vector<uint32_t> table_;
  size_t live_ = 0;
  size_t bytes_ = 0;
  size_t hand_ = 0;
};

}  // namespace pointsman
