#include "net/address_set.h"

#include <algorithm>
#include <array>

#include "net/engine.h"

namespace pointsman {

std::string AddressSet::update(Engine& engine, const std::vector<AddressInput>& inputs) {
  const uint64_t nowMs = engine.loop().nowMs();
  std::vector<Entry> next;
  next.reserve(inputs.size());
  for (const AddressInput& input : inputs) {
    if (input.statsSlot >= kAddressSlotsMax) return input.host + " has no slot for its counters";
    Ref<Address> address = Address::create(engine, input.host, input.port, input.statsSlot);
    if (!address) return input.host + " is no address";
    uint64_t recoveredAtMs = input.recoveredAtMs;
    for (const Entry& old : entries_) {
      if (old.address->text() != address->text()) continue;
      address = old.address;
      // A list that was made earlier may arrive later.
      recoveredAtMs = std::max(recoveredAtMs, old.recoveredAtMs);
      if (recoveredAtMs > old.recoveredAtMs) address->health().recover(nowMs);
      break;
    }
    std::string target = input.basePath;
    if (protocol_ == Protocol::kMlflow) target += "/invocations";
    if (target.empty()) target = "/";
    next.push_back({.address = std::move(address),
                    .target = std::move(target),
                    .hostLine = "host: " + input.authority + "\r\n",
                    .weight = input.weight,
                    .ready = input.ready,
                    .recoveredAtMs = recoveredAtMs});
  }
  for (Entry& old : entries_) {
    const bool stays = std::any_of(next.begin(), next.end(), [&old](const Entry& entry) {
      return entry.address.get() == old.address.get();
    });
    if (stays) continue;
    old.address->setEjected(0);
    old.address->pool().drain();
  }
  entries_ = std::move(next);
  replaceReady(nowMs);
  return {};
}

// Here memory may be asked for; indices of before mean nothing any more.
void AddressSet::replaceReady(uint64_t nowMs) {
  ready_.clear();
  for (uint32_t index = 0; index < entries_.size(); index++) {
    if (entries_[index].ready && entries_[index].weight > 0) ready_.push_back(index);
  }
  for (std::vector<uint32_t>* list : {&chosen_, &onTrial_, &failing_, &nextChosen_, &weights_}) {
    list->clear();
    list->reserve(ready_.size());
  }
  choice_.reset();
  classify(nowMs);
}

void AddressSet::setOnly(Ref<Address> address) {
  entries_.clear();
  entries_.push_back({.address = std::move(address),
                      .target = {},
                      .hostLine = {},
                      .weight = 1,
                      .ready = true,
                      .recoveredAtMs = 0});
  replaceReady(0);
}

// Sorts the ready addresses into ejected, on trial and chosen. Runs when an address begins or ends
// to fail, and makes a new table of those in the choice; without memory for it the choice stays as
// it is until another try.
void AddressSet::classify(uint64_t nowMs) noexcept {
  endEjections(nowMs);
  failing_.clear();
  classifyAtMs_ = kNever;
  for (const uint32_t index : ready_) {
    const PassiveHealth& health = entries_[index].address->health();
    if (!health.isFailing(nowMs)) continue;
    failing_.push_back(index);
    classifyAtMs_ = std::min(classifyAtMs_, health.failingUntilMs());
  }
  std::stable_sort(failing_.begin(), failing_.end(), [this](uint32_t a, uint32_t b) {
    return entries_[a].address->health().failingSinceMs() <
           entries_[b].address->health().failingSinceMs();
  });
  const bool isAllFailing = failing_.size() == ready_.size();
  const size_t ejectedMax = isAllFailing ? 0 : ready_.size() / 2;
  onTrial_.clear();
  for (size_t i = 0; i < failing_.size(); i++) {
    Address& address = *entries_[failing_[i]].address;
    const bool isEjected = i < ejectedMax;
    address.setEjected(isEjected ? address.health().failingUntilMs() : 0);
    if (!isEjected && !isAllFailing && address.health().isUnreachable()) {
      onTrial_.push_back(failing_[i]);
    }
  }
  if (!choose()) classifyAtMs_ = std::min(classifyAtMs_, nowMs + kClassifyAgainMs);
}

// Whoever was ejected until now and is not failing any more ramps.
void AddressSet::endEjections(uint64_t nowMs) noexcept {
  for (const Entry& entry : entries_) {
    Address& address = *entry.address;
    if (address.ejectedUntilMs() == 0) continue;
    const bool isCandidate = entry.ready && entry.weight > 0;
    if (isCandidate && address.health().isFailing(nowMs)) continue;
    if (isCandidate) address.health().startRamp(nowMs);
    address.setEjected(0);
  }
}

// False when there is no memory for the table.
bool AddressSet::choose() noexcept {
  nextChosen_.clear();
  weights_.clear();
  for (const uint32_t index : ready_) {
    if (entries_[index].address->ejectedUntilMs() != 0) continue;
    if (std::find(onTrial_.begin(), onTrial_.end(), index) != onTrial_.end()) continue;
    nextChosen_.push_back(index);
    weights_.push_back(entries_[index].weight);
  }
  std::optional<TwoChoices> next = TwoChoices::build(weights_);
  if (!next && !weights_.empty()) return false;
  choice_ = std::move(next);
  chosen_.swap(nextChosen_);
  return true;
}

std::optional<uint32_t> AddressSet::pick(Xoshiro256pp& rng, uint64_t nowMs) noexcept {
  budget_.onRequest();
  if (nowMs >= classifyAtMs_) classify(nowMs);
  if (!choice_) return std::nullopt;
  if (!onTrial_.empty() && scaleDraw(rng.next(), 100) < kTrialPercent) {
    return onTrial_[scaleDraw(rng.next(), static_cast<uint32_t>(onTrial_.size()))];
  }
  return chosen_[choice_->pick(rng, [this, &rng, nowMs](uint32_t slot) noexcept {
    Address& address = *entries_[chosen_[slot]].address;
    // It takes part in as many draws as its share allows.
    const uint32_t percent = address.health().sharePercent(nowMs);
    if (percent < 100 && scaleDraw(rng.next(), 100) >= percent) return kLoadUnavailable;
    return address.load();
  })];
}

std::optional<uint32_t> AddressSet::pickOther(Xoshiro256pp& rng,
                                              std::span<const Ref<Address>> tried,
                                              uint64_t nowMs) noexcept {
  if (ready_.empty()) return std::nullopt;
  // Best first: nothing against it, the last attempt failed, failing.
  constexpr size_t kRanks = 3;
  std::array<std::optional<uint32_t>, kRanks> found;
  const auto start = static_cast<size_t>(rng.next() % ready_.size());
  for (size_t step = 0; step < ready_.size() && !found[0]; step++) {
    const uint32_t index = ready_[(start + step) % ready_.size()];
    Address* address = entries_[index].address.get();
    const bool isTried = std::any_of(tried.begin(), tried.end(),
                                     [address](const auto& one) { return one.get() == address; });
    if (isTried) continue;
    const PassiveHealth& health = address->health();
    const bool isFailing = health.isFailing(nowMs);
    found[isFailing ? 2 : static_cast<size_t>(health.isDoubtful())] = index;
  }
  const auto best = std::find_if(found.begin(), found.end(), [](const auto& one) { return one; });
  const bool isLastResort = best == found.end() - 1;
  if (best == found.end() || !budget_.tryTake(isLastResort)) return std::nullopt;
  entries_[**best].address->stats().retries++;
  return *best;
}

void AddressSet::report(Address& address, Verdict verdict, uint64_t startedMs,
                        uint64_t nowMs) noexcept {
  PassiveHealth& health = address.health();
  const bool wasFailing = health.isFailing(nowMs);
  switch (verdict) {
    case Verdict::kNone:
      return;
    case Verdict::kSuccess:
      health.succeed(startedMs, nowMs);
      break;
    case Verdict::kFailure:
    case Verdict::kUnreachable:
      address.stats().failures++;
      health.fail(verdict == Verdict::kUnreachable, address.isEjectedElsewhere(nowMs), nowMs);
      break;
  }
  if (health.isFailing(nowMs) != wasFailing) classify(nowMs);
}

}  // namespace pointsman
