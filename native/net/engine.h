// Everything one worker needs to relay: loop, timers, random numbers, exchanges, live address sets,
// counters.
//
// Thread: the loop's. Owns exchanges and address sets; borrows the loop and the read buffer, which
// must outlive it. Whoever else holds a Ref to one of its tables, sets or addresses drops it before
// the engine dies; the engine must not be destroyed from inside a call of a door.
#pragma once

#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "core/entity_stats.h"
#include "core/rng.h"
#include "net/deployment.h"
#include "net/exchange.h"
#include "net/loop.h"
#include "net/routing_table.h"
#include "net/timer_wheel.h"

namespace pointsman {

class Engine {
 public:
  // `readBuffer` gets what replicas send: kReadBufferBytes.
  Engine(Loop& loop, Xoshiro256pp rng, std::span<char> readBuffer);
  ~Engine();
  Engine(const Engine&) = delete;
  Engine& operator=(const Engine&) = delete;

  Loop& loop() noexcept { return loop_; }
  TimerWheel& wheel() noexcept { return wheel_; }
  Xoshiro256pp& rng() noexcept { return rng_; }
  std::span<char> readBuffer() const noexcept { return readBuffer_; }

  // A free exchange, to be started at once. It returns to the engine by itself after its end.
  Exchange& createExchange();
  // nullptr unless `id` is a live exchange.
  Exchange* exchange(uint32_t id) noexcept;
  uint32_t liveExchanges() const noexcept { return live_; }

  // The live set of a deployment, made on first use. A protocol of its own makes other request
  // targets, so it is part of the key.
  Ref<AddressSet> addressSet(const std::string& deployment, Protocol protocol);
  // Drops the sets that no deployment of the table names.
  void retainAddressSets(const RoutingTable& table);
  using AddressSets = std::map<std::pair<std::string, Protocol>, Ref<AddressSet>>;
  const AddressSets& addressSets() const noexcept { return addressSets_; }

  // Counters of one served entity; the same index for the same names as long as the engine lives.
  uint32_t statsIndex(std::string_view endpoint, std::string_view entity);
  EntityStats& stats(uint32_t index) noexcept { return stats_[index]->stats; }
  struct NamedStats {
    std::string endpoint;
    std::string entity;
    EntityStats stats{};
  };
  const std::vector<std::unique_ptr<NamedStats>>& allStats() const noexcept { return stats_; }

  // The snapshot requests are dispatched under; empty before the first commit.
  const Ref<RoutingTable>& active() const noexcept { return active_; }
  void activate(Ref<RoutingTable> table) noexcept { active_ = std::move(table); }

 private:
  friend class Exchange;
  void recycle(Exchange& exchange) noexcept;

  Loop& loop_;
  TimerWheel wheel_;
  Xoshiro256pp rng_;
  std::span<char> readBuffer_;
  std::vector<std::unique_ptr<Exchange>> exchanges_;
  std::vector<uint32_t> freeExchanges_;
  uint32_t live_ = 0;
  AddressSets addressSets_;
  std::vector<std::unique_ptr<NamedStats>> stats_;
  std::unordered_map<std::string, uint32_t> statsIndex_;
  Ref<RoutingTable> active_;
};

}  // namespace pointsman
