// Authorization values that were verified, by their exact bytes.
//
// A hit costs one hash of the value, one comparison of all its bytes and three of words, and a look
// at the clock if the token has an end; no allocation. An entry is good until the millisecond of
// its expiry and as long as the auth epoch is the one that it was verified under: any change of
// tokens, principals or permissions raises the epoch, and with it no verdict of any worker's cache
// holds any more. What the signature proved does, and is kept beside for the next one. Only good
// values are kept, so nobody fills the cache who has no token; it is bounded all the same, by
// entries and by bytes, and drops those that were not used for longest (second chance). Thread: the
// loop's.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "net/token_grant.h"

namespace pointsman {

// What a token says, in the host's own words, as the keys of a trust version have proved it: with
// it a new verdict needs no second look at the signature.
struct TokenProof {
  std::string verified{};
  uint32_t trustVersion = 0;
};

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
  bool wasGood(std::string_view value) noexcept { return *slotOf(value, hashOf(value)) != kEmpty; }
  // What the keys of `trustVersion` have proved that it says; empty: nothing that is known. Good
  // until the next call that is not const.
  std::string_view proofOf(std::string_view value, uint32_t trustVersion) noexcept;
  // `expiresAtMs` 0: never by itself.
  void insert(std::string_view value, uint64_t epoch, uint64_t expiresAtMs, Ref<TokenGrant> grant,
              TokenProof proof = {});
  size_t entries() const noexcept { return live_; }
  size_t bytes() const noexcept { return bytes_; }

 private:
  static constexpr uint32_t kEmpty = 0xffffffffU;

  struct Entry {
    std::string value;
    uint64_t hash = 0;
    JudgedToken token{};
    TokenProof proof{};
    bool wasUsed = false;
    bool isLive = false;
  };

  uint64_t hashOf(std::string_view value) const noexcept;
  uint32_t* slotOf(std::string_view value, uint64_t hash) noexcept;
  static size_t bytesOf(const Entry& entry) noexcept;
  void evictOne(uint32_t kept) noexcept;
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
