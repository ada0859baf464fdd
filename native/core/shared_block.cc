#include "core/shared_block.h"

#include <algorithm>

namespace pointsman {

namespace {

void addEntity(EntityStats& from, EntityStats& to) noexcept {
  for (size_t i = 0; i < from.jsClasses.size(); ++i) {
    to.jsClasses[i] += from.jsClasses[i];
    to.nativeClasses[i] += from.nativeClasses[i];
  }
  for (size_t i = 0; i < from.latency.counts.size(); ++i) {
    to.latency.counts[i] += from.latency.counts[i];
  }
  to.latency.sumMicroseconds += from.latency.sumMicroseconds;
}

void addAddress(const AddressStats& from, AddressStats& to) noexcept {
  to.requests += from.requests;
  to.connects += from.connects;
  to.connectFailures += from.connectFailures;
  to.retries += from.retries;
  to.failures += from.failures;
  to.ejections += from.ejections;
}

// Most slots were never touched; writing zeroes to them would make the sparse block dense.
void retireEntity(EntityStats& dead, EntityStats& retired) noexcept {
  if (dead.latency.total() == 0 && dead.inFlight == 0) return;
  addEntity(dead, retired);
  dead = EntityStats{};
}

void retireAddress(AddressStats& dead, AddressStats& retired) noexcept {
  const bool isUntouched = dead.connects == 0 && dead.requests == 0 && dead.connectFailures == 0 &&
                           dead.idleConnections == 0 && dead.ejections == 0 && dead.failures == 0;
  if (isUntouched) return;
  addAddress(dead, retired);
  dead = AddressStats{};
}

void retireHeader(ColumnHeader& dead, ColumnHeader& retired) noexcept {
  dead.waiters.store(0);
  for (size_t code = 0; code < kRefusalsMax; ++code) {
    retired.refusals[code] += dead.refusals[code];
    dead.refusals[code] = 0;
  }
  retired.connectionsRefused += dead.connectionsRefused;
  dead.connectionsRefused = 0;
  dead.heartbeat.store(0, std::memory_order_relaxed);
  dead.revision.store(0, std::memory_order_relaxed);
  dead.oldestRevision.store(0, std::memory_order_relaxed);
  dead.revisionsHeld.store(0, std::memory_order_relaxed);
  dead.connectionsOpen = 0;
  dead.exchangesLive = 0;
}

// Calls `retire` for every slot of an array, `at` bytes into its column, that lies in [begin, end)
// or reaches into it.
template <class Slots, class Retire>
void retireSlots(Slots& dead, Slots& retired, size_t at, size_t begin, size_t end,
                 Retire retire) noexcept {
  constexpr size_t kSlotBytes = sizeof(typename Slots::value_type);
  const size_t first = begin > at ? (begin - at) / kSlotBytes : 0;
  const size_t behind = end > at ? (end - at + kSlotBytes - 1) / kSlotBytes : 0;
  const size_t last = std::min(behind, dead.size());
  for (size_t slot = first; slot < last; ++slot) retire(dead[slot], retired[slot]);
}

}  // namespace

void retireRange(Column& dead, Column& retired, size_t begin, size_t end) noexcept {
  if (begin < sizeof(ColumnHeader) && end > 0) retireHeader(dead.header, retired.header);
  retireSlots(dead.entities, retired.entities, offsetof(Column, entities), begin, end,
              retireEntity);
  retireSlots(dead.addresses, retired.addresses, offsetof(Column, addresses), begin, end,
              retireAddress);
  retireSlots(dead.limits, retired.limits, offsetof(Column, limits), begin, end, retireLimit);
}

void clearEntity(Column& column, uint32_t slot) noexcept {
  column.entities[slot] = EntityStats{};
  clearLimit(column.limits[entityLimitSlot(slot)]);
}

void clearAddress(Column& column, uint32_t slot) noexcept {
  column.addresses[slot] = AddressStats{};
}

void clearDeployment(Column& column, uint32_t slot) noexcept {
  clearLimit(column.limits[slot]);
}

}  // namespace pointsman
