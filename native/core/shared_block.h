// Layout of the memory that supervisor and workers share.
//
//   control page   written by the supervisor alone, mapped read-only in workers: the active
//   revision columns        one per worker slot and one for what dead workers counted:
//                    [header | entity counters by slot number | address counters by slot number
//                     | limits: deployments by slot number, then entities by theirs]
//
// A column has one writer: the worker of its slot while it lives, the supervisor once its exit is
// confirmed. Slot numbers are given out by the supervisor; the same number means the same entity or
// address in every column. Words are read by other processes while they are written: each is a
// naturally aligned 64- or 32-bit word that is stored whole, and no reader combines two of them
// into more than a figure for people.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <span>
#include <type_traits>

#include "core/entity_stats.h"
#include "core/limiter.h"

namespace pointsman {

inline constexpr uint64_t kSharedMagic = 0x706f696e74736d32;  // "pointsm2"
// Served entities and addresses that can be configured at once, drained ones included. Memory is
// used for those that exist: the block is sparse.
inline constexpr size_t kEntitySlotsMax = 65'536;
inline constexpr size_t kAddressSlotsMax = 65'536;
// Of the connections to the worker's own JS; never given to an address of a replica.
inline constexpr uint32_t kLocalAddressSlot = kAddressSlotsMax - 1;
inline constexpr size_t kDeploymentSlotsMax = 16'384;
// A deployment's limit is at its own slot number, an entity's behind all of those.
inline constexpr size_t kLimitSlotsMax = kDeploymentSlotsMax + kEntitySlotsMax;
constexpr uint32_t entityLimitSlot(uint32_t entitySlot) noexcept {
  return static_cast<uint32_t>(kDeploymentSlotsMax) + entitySlot;
}
inline constexpr size_t kWorkersMax = 256;
// Reasons for which a worker answers by itself, counted by number; src/core/errors.ts has the
// names.
inline constexpr size_t kRefusalsMax = 32;
inline constexpr size_t kSharedPageBytes = 4096;

struct ControlPage {
  uint64_t magic;
  uint32_t workers;
  uint32_t reserved;
  // Random, below 2^53: tells one supervisor's block from another's.
  uint64_t id;
  // Revision that every dispatch happens under. The one store that makes a change effective.
  std::atomic<uint64_t> activeRevision;
  // Raised by every change that may take a right away from somebody who has it; caches of verified
  // tokens compare it.
  std::atomic<uint64_t> authEpoch;
  // Raised by every change of tokens, principals or keys, those that only add something included.
  // Nobody is judged by a copy of them that is older.
  std::atomic<uint64_t> accessVersion;
};

// What one worker counts for one address.
struct AddressStats {
  // Attempts, retries and replays included.
  uint64_t requests;
  uint64_t connects;
  uint64_t connectFailures;
  // Attempts beyond the first of their request.
  uint64_t retries;
  // Attempts that spoke against the address (net/verdict.h).
  uint64_t failures;
  uint64_t ejections;
  // While this worker leaves the address out, until when: CLOCK_MONOTONIC in milliseconds; else 0.
  uint64_t ejectedUntilMs;
  uint32_t inFlight;
  uint32_t idleConnections;
};

struct ColumnHeader {
  // Raised several times a second by the worker's loop; stands still when the loop does.
  std::atomic<uint64_t> heartbeat;
  // Revision of the worker's last dispatch or switch.
  std::atomic<uint64_t> revision;
  // Oldest revision that a request in flight was dispatched under; equal to `revision` when there
  // is none.
  std::atomic<uint64_t> oldestRevision;
  // Revisions besides the active one that requests in flight still hold on to.
  std::atomic<uint32_t> revisionsHeld;
  uint32_t connectionsOpen;
  uint32_t exchangesLive;
  uint32_t reserved;
  std::array<uint64_t, kRefusalsMax> refusals;
  // Connections that were told to go away because the worker had as many as it may.
  uint64_t connectionsRefused;
  // Requests that wait in this worker for any limit. On a cache line of its own: every worker reads
  // it for every request, and it seldom changes.
  alignas(64) std::atomic<uint32_t> waiters;
};

struct Column {
  ColumnHeader header;
  std::array<std::byte, kSharedPageBytes - sizeof(ColumnHeader)> padding;
  std::array<EntityStats, kEntitySlotsMax> entities;
  std::array<AddressStats, kAddressSlotsMax> addresses;
  std::array<LimitWords, kLimitSlotsMax> limits;
};

static_assert(sizeof(ControlPage) <= kSharedPageBytes);
static_assert(sizeof(AddressStats) == 64, "one cache line");
static_assert(std::atomic<uint64_t>::is_always_lock_free);
static_assert(offsetof(Column, entities) == kSharedPageBytes);
static_assert(sizeof(Column) % kSharedPageBytes == 0, "columns share no page");
static_assert(std::is_standard_layout_v<Column> && std::is_trivially_destructible_v<Column>);

// A word that another process may be writing, read once and whole.
template <class Word>
Word peek(const Word& word) noexcept {
  static_assert(sizeof(Word) <= 8 && std::is_unsigned_v<Word>);
  return *static_cast<const volatile Word*>(&word);
}

// Bytes of the columns' memory: one column per worker, and the retired one behind them.
constexpr size_t columnsBytes(size_t workers) noexcept {
  return (workers + 1) * sizeof(Column);
}

// Adds the counters that lie in the bytes [begin, end) of a dead worker's column, whole slots at
// both ends, to the retired one and zeroes them. Reading memory that nobody has touched makes it
// resident: only what was touched is to be given. The writer of both must be the caller: the
// worker's exit is confirmed.
void retireRange(Column& dead, Column& retired, size_t begin, size_t end) noexcept;

inline LimitColumn limitColumn(Column& column) noexcept {
  return {.waiters = &column.header.waiters, .words = column.limits.data()};
}

// Zeroes one entity's, address's or deployment's words in a column; no worker may use the slot any
// more.
void clearEntity(Column& column, uint32_t slot) noexcept;
void clearAddress(Column& column, uint32_t slot) noexcept;
void clearDeployment(Column& column, uint32_t slot) noexcept;

}  // namespace pointsman
