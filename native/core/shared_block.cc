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

}  // namespace

void retireColumn(Column& dead, Column& retired) noexcept {
  for (size_t slot = 0; slot < kEntitySlotsMax; ++slot) {
    EntityStats& from = dead.entities[slot];
    // Most slots were never touched; writing zeroes to them would make the sparse block dense.
    if (from.latency.total() == 0 && from.inFlight == 0) continue;
    addEntity(from, retired.entities[slot]);
    from = EntityStats{};
  }
  for (size_t slot = 0; slot < kAddressSlotsMax; ++slot) {
    AddressStats& from = dead.addresses[slot];
    const bool isUntouched = from.connects == 0 && from.requests == 0 &&
                             from.connectFailures == 0 && from.idleConnections == 0 &&
                             from.ejections == 0 && from.failures == 0;
    if (isUntouched) continue;
    AddressStats& to = retired.addresses[slot];
    to.requests += from.requests;
    to.connects += from.connects;
    to.connectFailures += from.connectFailures;
    to.retries += from.retries;
    to.failures += from.failures;
    to.ejections += from.ejections;
    from = AddressStats{};
  }
  for (size_t slot = 0; slot < kLimitSlotsMax; ++slot) {
    retireLimit(dead.limits[slot], retired.limits[slot]);
  }
  dead.header.waiters.store(0);
  for (size_t code = 0; code < kRefusalsMax; ++code) {
    retired.header.refusals[code] += dead.header.refusals[code];
    dead.header.refusals[code] = 0;
  }
  retired.header.connectionsRefused += dead.header.connectionsRefused;
  dead.header.connectionsRefused = 0;
  dead.header.heartbeat.store(0, std::memory_order_relaxed);
  dead.header.revision.store(0, std::memory_order_relaxed);
  dead.header.oldestRevision.store(0, std::memory_order_relaxed);
  dead.header.revisionsHeld.store(0, std::memory_order_relaxed);
  dead.header.connectionsOpen = 0;
  dead.header.exchangesLive = 0;
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
