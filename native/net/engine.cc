#include "net/engine.h"

#include <algorithm>
#include <iterator>
#include <new>

#include "net/sys.h"

namespace pointsman {

namespace {

// Of exchanges that were dispatched under none.
constexpr uint64_t kNoRevision = 0;

// Names of hosts are the same in capitals; ids are written without.
bool isIdOfHost(std::string_view label, std::string_view id) noexcept {
  return std::equal(label.begin(), label.end(), id.begin(), id.end(), [](char a, char b) {
    return (a >= 'A' && a <= 'Z' ? static_cast<char>(a - 'A' + 'a') : a) == b;
  });
}

// HOT.
Engine::Dispatch::Refusal refusalOf(const Engine::Caller& caller, std::string_view endpoint,
                                    const EndpointAccess& access) noexcept {
  if (caller.grant == nullptr) return Engine::Dispatch::Refusal::kNone;
  if (caller.byRoute && access.routeOptimized && !caller.grant->names(access.id, endpoint)) {
    return Engine::Dispatch::Refusal::kRouteToken;
  }
  return caller.grant->opens(access.id, endpoint, access.readers)
             ? Engine::Dispatch::Refusal::kNone
             : Engine::Dispatch::Refusal::kForbidden;
}

}  // namespace

Engine::Engine(Loop& loop, Xoshiro256pp rng, std::span<char> readBuffer, const ControlPage& control,
               Column& column, AdmissionPeers peers, std::span<const Column> columns)
    : loop_(loop),
      wheel_(loop),
      rng_(rng),
      readBuffer_(readBuffer),
      control_(control),
      column_(column),
      columns_(columns.empty() ? std::span<const Column>(&column, 1) : columns),
      admission_(loop_, wheel_, std::move(peers)) {
  sendBuffer_.reserve(sys::kOneSendBytesMax);
  answerFields_.reserve(kAnswerFieldsBytesMax);
}

Engine::~Engine() {
  cancelAll();
  for (const auto& exchange : exchanges_) loop_.undefer(exchange.get());
}

void Engine::cancelAll() noexcept {
  for (const auto& exchange : exchanges_) exchange->cancel();
}

Exchange* Engine::createExchange(uint64_t revision) noexcept {
  Exchange* exchange = takeExchange();
  if (exchange == nullptr) return nullptr;
  if (!pins_.pin(revision)) {
    giveBack(*exchange);
    return nullptr;
  }
  column_.header.exchangesLive++;
  exchange->revision_ = revision;
  return exchange;
}

Exchange* Engine::createLocalExchange() noexcept {
  Exchange* exchange = takeExchange();
  if (exchange != nullptr) exchange->revision_ = kNoRevision;
  return exchange;
}

Exchange* Engine::takeExchange() noexcept {
  if (firstFree_ != nullptr) {
    return std::exchange(firstFree_, std::exchange(firstFree_->nextFree_, nullptr));
  }
  const auto id = static_cast<uint32_t>(exchanges_.size());
  std::unique_ptr<Exchange> made(new (std::nothrow) Exchange(*this, id));
  if (made == nullptr || !exchanges_.add(std::move(made))) return nullptr;
  return exchanges_.back().get();
}

void Engine::giveBack(Exchange& exchange) noexcept {
  exchange.nextFree_ = std::exchange(firstFree_, &exchange);
}

Exchange* Engine::exchange(uint32_t id) noexcept {
  if (id >= exchanges_.size() || !exchanges_[id]->live()) return nullptr;
  return exchanges_[id].get();
}

void Engine::recycle(Exchange& exchange) noexcept {
  giveBack(exchange);
  if (exchange.revision_ == kNoRevision) {
    exchange.reset();
    return;
  }
  const uint64_t oldest = pins_.oldest(activeRevision_);
  pins_.unpin(exchange.revision_);
  exchange.reset();
  column_.header.exchangesLive--;
  if (pins_.oldest(activeRevision_) != oldest) publishRevisions();
}

Engine::Dispatch Engine::dispatch(std::string_view endpoint, std::string_view entity, bool isNative,
                                  const Caller& caller) noexcept {
  if (startsNothing_) return {.refusal = Dispatch::Refusal::kTakenOver};
  const Ref<RoutingTable>& table = snapshot();
  if (!table) return {.refusal = Dispatch::Refusal::kNoSnapshot};
  const uint64_t revision = table->revision();
  const EndpointRoutes* routes = table->find(endpoint);
  if (routes == nullptr ||
      (!caller.hostId.empty() && !isIdOfHost(caller.hostId, routes->access().id))) {
    return {.refusal = Dispatch::Refusal::kNoEndpoint, .revision = revision};
  }
  const Dispatch::Refusal refusal = refusalOf(caller, endpoint, routes->access());
  if (refusal != Dispatch::Refusal::kNone) return {.refusal = refusal, .revision = revision};
  const EntityTarget* target = entity.empty() ? &routes->pick(rng_.next()) : routes->find(entity);
  if (target == nullptr) return {.refusal = Dispatch::Refusal::kNoEntity, .revision = revision};
  if (target->deployment) return {.revision = revision, .target = target, .endpoint = routes};
  countUnserved(*target, isNative);
  return {.refusal = Dispatch::Refusal::kNoDeployment, .revision = revision, .target = target};
}

// Not one that was made since under the same name: nobody was judged for that.
Engine::Dispatch::Refusal Engine::judgeAgain(const EndpointRoutes& before,
                                             std::string_view endpoint,
                                             const Caller& caller) noexcept {
  if (startsNothing_) return Dispatch::Refusal::kTakenOver;
  const Ref<RoutingTable>& table = snapshot();
  const EndpointRoutes* routes = table ? table->find(endpoint) : nullptr;
  if (routes == nullptr || routes->access().id != before.access().id) {
    return Dispatch::Refusal::kNoEndpoint;
  }
  return refusalOf(caller, endpoint, routes->access());
}

void Engine::countUnserved(const EntityTarget& target, bool isNative) noexcept {
  constexpr uint32_t kUnavailable = 503;
  column_.entities[target.statsSlot].recordAnswer(kUnavailable, 0, isNative);
}

Ref<AddressSet> Engine::addressSet(const std::string& deployment, Protocol protocol) {
  Ref<AddressSet>& set = addressSets_[{deployment, protocol}];
  if (!set) set = makeRef<AddressSet>(protocol);
  return set;
}

std::string Engine::updateAddresses(const DeploymentUpdate& update) {
  auto entry = addressSets_.lower_bound({update.deployment, Protocol{}});
  for (; entry != addressSets_.end() && entry->first.first == update.deployment; ++entry) {
    std::string error = entry->second->update(*this, update.addresses);
    if (!error.empty()) return "deployment " + update.deployment + ": " + error;
  }
  return {};
}

Ref<RoutingTable> Engine::tableOf(uint64_t revision) const noexcept {
  if (active_ && active_->revision() == revision) return active_;
  for (const PreparedSnapshot& prepared : prepared_) {
    if (prepared.table->revision() == revision) return prepared.table;
  }
  return {};
}

void Engine::discard(uint64_t revision) noexcept {
  std::erase_if(prepared_, [revision](const PreparedSnapshot& prepared) {
    return prepared.table->revision() == revision;
  });
}

// The supervisor stores a revision only when every worker has said that it is prepared, so it is
// there. Were it not, the worker would go on under the table it has: its column says so, and the
// supervisor sees it.
void Engine::switchTo(uint64_t revision) noexcept {
  const auto found = std::find_if(prepared_.begin(), prepared_.end(),
                                  [revision](const PreparedSnapshot& prepared) {
                                    return prepared.table->revision() == revision;
                                  });
  if (found == prepared_.end()) return;
  active_ = std::move(found->table);
  activeRevision_ = revision;
  for (const DeploymentUpdate& update : found->addresses) updateAddresses(update);
  prepared_.erase(prepared_.begin(), std::next(found));
  publishRevisions();
}

void Engine::settle() {
  snapshot();
  if (!active_) return;
  settledRevision_ = activeRevision_;
  for (auto entry = addressSets_.begin(); entry != addressSets_.end();) {
    const AddressSet* set = entry->second.get();
    const auto names = [&entry, set](const Ref<RoutingTable>& table) {
      const Ref<DeploymentSpec> spec = table->deployment(entry->first.first);
      return spec && spec->addresses.get() == set;
    };
    const bool kept = names(active_) ||
                      std::any_of(prepared_.begin(), prepared_.end(),
                                  [&names](const auto& prepared) { return names(prepared.table); });
    entry = kept ? std::next(entry) : addressSets_.erase(entry);
  }
}

void Engine::publishRevisions() noexcept {
  ColumnHeader& header = column_.header;
  header.revision.store(activeRevision_, std::memory_order_release);
  header.oldestRevision.store(pins_.oldest(activeRevision_), std::memory_order_release);
  header.revisionsHeld.store(pins_.heldBeside(activeRevision_), std::memory_order_relaxed);
}

}  // namespace pointsman
