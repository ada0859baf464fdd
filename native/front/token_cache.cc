#include "front/token_cache.h"

#include <cstring>
#include <utility>

namespace pointsman {

namespace {

constexpr size_t kTableSlotsMin = 64;
__extension__ using Wide = unsigned __int128;

uint64_t load64(const char* at) noexcept {
  uint64_t word = 0;
  std::memcpy(&word, at, sizeof word);
  return word;
}

// Both halves of the product: every bit of the result depends on every bit of both factors.
uint64_t mix(uint64_t a, uint64_t b) noexcept {
  const Wide product = static_cast<Wide>(a) * b;
  return static_cast<uint64_t>(product) ^ static_cast<uint64_t>(product >> 64);
}

constexpr uint64_t kOdd1 = 0x9e3779b97f4a7c15U;
constexpr uint64_t kOdd2 = 0xd6e8feb86659fd93U;

}  // namespace

TokenCache::TokenCache(uint64_t seed) : seed_(seed), table_(kTableSlotsMin, kEmpty) {}

// Sixteen bytes a step, each multiplied with the state. Equality is always checked byte by byte, so
// the hash only has to spread.
uint64_t TokenCache::hashOf(std::string_view value) const noexcept {
  const char* at = value.data();
  size_t left = value.size();
  uint64_t state = seed_ ^ (value.size() * kOdd1);
  while (left >= 16) {
    state = mix(load64(at) ^ state, load64(at + 8) ^ kOdd2);
    at += 16;
    left -= 16;
  }
  char tail[16] = {};
  if (left > 0) std::memcpy(tail, at, left);
  return mix(load64(tail) ^ state ^ kOdd1, load64(tail + 8) ^ kOdd2);
}

// Where the value stands, or the empty slot where it would.
uint32_t* TokenCache::slotOf(std::string_view value, uint64_t hash) noexcept {
  const size_t mask = table_.size() - 1;
  for (size_t at = hash & mask;; at = (at + 1) & mask) {
    uint32_t& slot = table_[at];
    if (slot == kEmpty) return &slot;
    const Entry& entry = entries_[slot];
    if (entry.hash == hash && entry.value == value) return &slot;
  }
}

const JudgedToken* TokenCache::find(std::string_view value, uint64_t epoch,
                                    WallClock nowMs) noexcept {
  const uint32_t slot = *slotOf(value, hashOf(value));
  if (slot == kEmpty) return nullptr;
  Entry& entry = entries_[slot];
  if (!entry.token.holds(epoch, nowMs)) return nullptr;
  entry.wasUsed = true;
  return &entry.token;
}

std::string_view TokenCache::proofOf(std::string_view value, uint32_t trustVersion) noexcept {
  const uint32_t slot = *slotOf(value, hashOf(value));
  if (slot == kEmpty) return {};
  const TokenProof& proof = entries_[slot].proof;
  return proof.trustVersion == trustVersion ? std::string_view(proof.verified) : std::string_view();
}

size_t TokenCache::bytesOf(const Entry& entry) noexcept {
  const size_t granted = entry.token.grant ? entry.token.grant->bytes() : 0;
  return entry.value.size() + entry.proof.verified.size() + granted;
}

void TokenCache::insert(std::string_view value, uint64_t epoch, uint64_t expiresAtMs,
                        Ref<TokenGrant> grant, TokenProof proof) {
  const size_t added = value.size() + proof.verified.size() + (grant ? grant->bytes() : 0);
  if (added > kBytesMax) return;
  const uint64_t hash = hashOf(value);
  uint32_t known = *slotOf(value, hash);
  if (known == kEmpty) {
    if (live_ >= kEntriesMax) evictOne(kEmpty);
    if ((live_ + 1) * 2 > table_.size()) grow();
    if (freeEntries_.empty()) {
      entries_.emplace_back();
      known = static_cast<uint32_t>(entries_.size() - 1);
    } else {
      known = freeEntries_.back();
      freeEntries_.pop_back();
    }
    Entry& entry = entries_[known];
    entry.value.assign(value);
    entry.hash = hash;
    entry.isLive = true;
    *slotOf(value, hash) = known;
    live_++;
    bytes_ += value.size();
  }
  Entry& entry = entries_[known];
  bytes_ -= bytesOf(entry);
  entry.token = {.grant = std::move(grant), .epoch = epoch, .expiresAtMs = expiresAtMs};
  entry.proof = std::move(proof);
  bytes_ += bytesOf(entry);
  entry.wasUsed = true;
  while (bytes_ > kBytesMax) evictOne(known);
}

// Another one than `kept`, which must not be the only one.
void TokenCache::evictOne(uint32_t kept) noexcept {
  for (;;) {
    hand_ = hand_ + 1 < entries_.size() ? hand_ + 1 : 0;
    Entry& entry = entries_[hand_];
    if (!entry.isLive || hand_ == kept) continue;
    if (!entry.wasUsed) break;
    entry.wasUsed = false;
  }
  unlink(static_cast<uint32_t>(hand_));
}

// Empties the entry's slot and moves back what probing had pushed behind it.
void TokenCache::unlink(uint32_t index) noexcept {
  Entry& entry = entries_[index];
  const size_t mask = table_.size() - 1;
  auto hole = static_cast<size_t>(slotOf(entry.value, entry.hash) - table_.data());
  for (size_t at = (hole + 1) & mask; table_[at] != kEmpty; at = (at + 1) & mask) {
    const size_t home = entries_[table_[at]].hash & mask;
    // Stays when its home lies behind the hole on the way to where it stands.
    if (((at - home) & mask) < ((at - hole) & mask)) continue;
    table_[hole] = table_[at];
    hole = at;
  }
  table_[hole] = kEmpty;
  bytes_ -= bytesOf(entry);
  live_--;
  entry = Entry{};
  freeEntries_.push_back(index);
}

void TokenCache::grow() {
  std::vector<uint32_t> larger(table_.size() * 2, kEmpty);
  table_.swap(larger);
  for (uint32_t index = 0; index < entries_.size(); index++) {
    const Entry& entry = entries_[index];
    if (entry.isLive) *slotOf(entry.value, entry.hash) = index;
  }
}

}  // namespace pointsman
