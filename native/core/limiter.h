// Limits on requests in flight, exact over all workers, in memory that they share.
//
// Every worker writes words of its own only, so that what a dead one held can be taken back by
// zeroing its words, at whatever line it died. A worker reserves by raising its word and then
// summing all of them; above the limit it lowers its word again. All of these are sequentially
// consistent, so of two workers that reserve at once at least the later one sees the other: the
// limit is never exceeded. Both may see each other and give way, so that at the very edge a
// place may stay free although it was asked for; who waits for one is woken by that lowering too.
//
// No lost wake-ups: whoever waits first publishes it and then looks for a place; whoever makes a
// place free first lowers its word and then looks who waits. In the one order of all these
// operations either the place is free before the waiter looks, or the waiter is published before
// the releaser looks. What to do on either look is net/admission's part.
//
// The places of a limit go to the oldest request that waits, whichever worker it waits in: each
// worker publishes the age of its own oldest, and only the worker of the very oldest reserves.
// Plain C++, no I/O. Thread: one Limiter per worker, used by that worker's thread alone.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <span>
#include <type_traits>
#include <vector>

namespace pointsman {

// What one worker says about one limit; all zero: nothing. Written by that worker alone.
struct LimitWords {
  // Places held, also those that are held for a moment while the others are summed.
  std::atomic<uint32_t> reserved;
  // Requests that wait, counted against the bound of the queue.
  std::atomic<uint32_t> waiting;
  // Since when the oldest of this worker's waits (monotonic us), 0: none; and its limit.
  std::atomic<uint64_t> oldestUs;
  std::atomic<uint32_t> oldestLimit;
  uint32_t unused;
  // Requests refused: no place and no queue or a full one; no place in time.
  uint64_t refusedFull;
  uint64_t refusedDeadline;
};

static_assert(sizeof(LimitWords) == 40 && std::is_standard_layout_v<LimitWords>);
static_assert(std::atomic<uint64_t>::is_always_lock_free);

// One worker's words. Borrowed: shared memory that outlives the limiter.
struct LimitColumn {
  // Requests that wait in the worker for any limit: nobody need look further while it is 0.
  std::atomic<uint32_t>* waiters = nullptr;
  LimitWords* words = nullptr;
};

constexpr uint32_t kUnlimited = UINT32_MAX;

class Limiter {
 public:
  static constexpr uint32_t kNobody = UINT32_MAX;

  struct Outlook {
    // Whose request is to get the next place; kNobody: none waits.
    uint32_t worker = kNobody;
    uint64_t sinceUs = 0;
    uint32_t limit = 0;
    uint64_t reserved = 0;
    bool hasRoom() const noexcept { return worker != kNobody && reserved < limit; }
  };

  Limiter(std::vector<LimitColumn> columns, uint32_t self)
      : columns_(std::move(columns)), self_(self) {}

  uint32_t self() const noexcept { return self_; }
  size_t workers() const noexcept { return columns_.size(); }
  LimitWords& own(uint32_t slot) noexcept { return columns_[self_].words[slot]; }

  // For a request that does not wait yet: a place unless there is none, or an older request waits
  // for it. Whatever it answers, words may have moved: look who waits.
  // `passedOver`: by worker the oldestUs that is not waited for; empty: none.
  bool enter(uint32_t slot, uint32_t limit, uint64_t sinceUs,
             std::span<const uint64_t> passedOver) noexcept;
  // For the oldest that waits. After a failure look who waits.
  bool tryReserve(uint32_t slot, uint32_t limit) noexcept;
  // Look who waits afterwards.
  void release(uint32_t slot) noexcept;

  // Counts one more that waits, unless `queueMax` wait already in all workers together. May refuse
  // at the very edge.
  bool tryJoin(uint32_t slot, uint32_t queueMax) noexcept;
  void leave(uint32_t slot) noexcept;

  // Before the first head is published and after the last one is withdrawn.
  void addWaiter() noexcept { columns_[self_].waiters->fetch_add(1); }
  void removeWaiter() noexcept { columns_[self_].waiters->fetch_sub(1); }
  bool anyoneWaits() const noexcept;
  // This worker's oldest request that waits for the limit; `sinceUs` 0: none. Look who waits
  // afterwards.
  void publishHead(uint32_t slot, uint64_t sinceUs, uint32_t limit) noexcept;
  Outlook outlook(uint32_t slot, std::span<const uint64_t> passedOver) const noexcept;

 private:
  uint64_t reservedSum(uint32_t slot) const noexcept;
  uint64_t waitingSum(uint32_t slot) const noexcept;

  // By worker.
  std::vector<LimitColumn> columns_;
  uint32_t self_;
};

// Takes back what a dead worker held and keeps what it counted. Its exit is confirmed; afterwards
// every worker must look again.
void retireLimit(LimitWords& dead, LimitWords& retired) noexcept;
void clearLimit(LimitWords& words) noexcept;

}  // namespace pointsman
