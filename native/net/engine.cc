#include "net/engine.h"

namespace pointsman {

Engine::Engine(Loop& loop, Xoshiro256pp rng, std::span<char> readBuffer)
    : loop_(loop), wheel_(loop), rng_(rng), readBuffer_(readBuffer) {}

Engine::~Engine() {
  for (const auto& exchange : exchanges_) {
    exchange->cancel();
    loop_.undefer(exchange.get());
  }
}

Exchange& Engine::createExchange() {
  live_++;
  if (freeExchanges_.empty()) {
    const auto id = static_cast<uint32_t>(exchanges_.size());
    exchanges_.push_back(std::make_unique<Exchange>(*this, id));
    return *exchanges_.back();
  }
  const uint32_t id = freeExchanges_.back();
  freeExchanges_.pop_back();
  return *exchanges_[id];
}

Exchange* Engine::exchange(uint32_t id) noexcept {
  if (id >= exchanges_.size() || !exchanges_[id]->live()) return nullptr;
  return exchanges_[id].get();
}

void Engine::recycle(Exchange& exchange) noexcept {
  exchange.reset();
  live_--;
  freeExchanges_.push_back(exchange.id());
}

Ref<AddressSet> Engine::addressSet(const std::string& deployment, Protocol protocol) {
  Ref<AddressSet>& set = addressSets_[{deployment, protocol}];
  if (!set) set = makeRef<AddressSet>(protocol);
  return set;
}

void Engine::retainAddressSets(const RoutingTable& table) {
  for (auto entry = addressSets_.begin(); entry != addressSets_.end();) {
    const Ref<DeploymentSpec> spec = table.deployment(entry->first.first);
    const bool kept = spec && spec->addresses.get() == entry->second.get();
    entry = kept ? std::next(entry) : addressSets_.erase(entry);
  }
}

uint32_t Engine::statsIndex(std::string_view endpoint, std::string_view entity) {
  std::string key(endpoint);
  key.append("/").append(entity);
  const auto [found, added] = statsIndex_.try_emplace(key, static_cast<uint32_t>(stats_.size()));
  if (added) {
    stats_.push_back(std::make_unique<NamedStats>(
        NamedStats{.endpoint = std::string(endpoint), .entity = std::string(entity)}));
  }
  return found->second;
}

}  // namespace pointsman
