#include "core/limiter.h"

namespace pointsman {

namespace {

// Two workers that reserve the last place at once both give way. So many times they try again; a
// request that fails every time is treated as one that found no place.
constexpr int kTriesMax = 4;

}  // namespace

bool Limiter::enter(uint32_t slot, uint32_t limit, uint64_t sinceUs,
                    std::span<const uint64_t> passedOver) noexcept {
  if (limit == kUnlimited) {
    own(slot).reserved.fetch_add(1);
    return true;
  }
  for (int tries = 0; tries < kTriesMax; tries++) {
    if (anyoneWaits()) {
      const Outlook ahead = outlook(slot, passedOver);
      const bool isYounger =
          ahead.worker != kNobody &&
          (ahead.sinceUs != sinceUs ? ahead.sinceUs < sinceUs : ahead.worker <= self_);
      if (isYounger) return false;
    }
    // A look before the leap: while there is no place, nobody is disturbed by a word that rises.
    if (reservedSum(slot) >= limit) return false;
    if (tryReserve(slot, limit)) return true;
  }
  return false;
}

bool Limiter::tryReserve(uint32_t slot, uint32_t limit) noexcept {
  own(slot).reserved.fetch_add(1);
  if (limit == kUnlimited || reservedSum(slot) <= limit) return true;
  own(slot).reserved.fetch_sub(1);
  return false;
}

void Limiter::release(uint32_t slot) noexcept {
  own(slot).reserved.fetch_sub(1);
}

bool Limiter::tryJoin(uint32_t slot, uint32_t queueMax) noexcept {
  for (int tries = 0; tries < kTriesMax; tries++) {
    if (waitingSum(slot) >= queueMax) return false;
    own(slot).waiting.fetch_add(1);
    if (waitingSum(slot) <= queueMax) return true;
    own(slot).waiting.fetch_sub(1);
  }
  return false;
}

void Limiter::leave(uint32_t slot) noexcept {
  own(slot).waiting.fetch_sub(1);
}

bool Limiter::anyoneWaits() const noexcept {
  for (const LimitColumn& column : columns_) {
    if (column.waiters->load() != 0) return true;
  }
  return false;
}

// The age last: who sees it sees the limit that belongs to it, or one of a later head, whose
// publisher looks again anyway.
void Limiter::publishHead(uint32_t slot, uint64_t sinceUs, uint32_t limit) noexcept {
  LimitWords& words = own(slot);
  if (sinceUs != 0) words.oldestLimit.store(limit);
  words.oldestUs.store(sinceUs);
}

Limiter::Outlook Limiter::outlook(uint32_t slot,
                                  std::span<const uint64_t> passedOver) const noexcept {
  Outlook result;
  for (uint32_t worker = 0; worker < columns_.size(); worker++) {
    const LimitWords& words = columns_[worker].words[slot];
    result.reserved += words.reserved.load();
    const uint64_t sinceUs = words.oldestUs.load();
    if (sinceUs == 0 || (!passedOver.empty() && passedOver[worker] == sinceUs)) continue;
    // Of equal ages the first worker's: everybody must name the same one.
    if (result.worker != kNobody && result.sinceUs <= sinceUs) continue;
    result.worker = worker;
    result.sinceUs = sinceUs;
    result.limit = words.oldestLimit.load();
  }
  return result;
}

uint64_t Limiter::reservedSum(uint32_t slot) const noexcept {
  uint64_t sum = 0;
  for (const LimitColumn& column : columns_) sum += column.words[slot].reserved.load();
  return sum;
}

uint64_t Limiter::waitingSum(uint32_t slot) const noexcept {
  uint64_t sum = 0;
  for (const LimitColumn& column : columns_) sum += column.words[slot].waiting.load();
  return sum;
}

void retireLimit(LimitWords& dead, LimitWords& retired) noexcept {
  const bool isUntouched = dead.reserved.load() == 0 && dead.waiting.load() == 0 &&
                           dead.oldestUs.load() == 0 && dead.refusedFull == 0 &&
                           dead.refusedDeadline == 0;
  // Writing zeroes to words that nobody touched would make the sparse block dense.
  if (isUntouched) return;
  retired.refusedFull += dead.refusedFull;
  retired.refusedDeadline += dead.refusedDeadline;
  clearLimit(dead);
}

void clearLimit(LimitWords& words) noexcept {
  words.oldestUs.store(0);
  words.oldestLimit.store(0);
  words.waiting.store(0);
  words.reserved.store(0);
  words.refusedFull = 0;
  words.refusedDeadline = 0;
}

}  // namespace pointsman
