#include "net/deployment.h"

#include <algorithm>

#include "net/engine.h"

namespace pointsman {

std::string AddressSet::update(Engine& engine, const std::vector<AddressInput>& inputs) {
  std::vector<Entry> next;
  next.reserve(inputs.size());
  for (const AddressInput& input : inputs) {
    if (input.statsSlot >= kAddressSlotsMax) return input.host + " has no slot for its counters";
    Ref<Address> address =
        Address::create(engine, input.host, input.port, engine.column().addresses[input.statsSlot]);
    if (!address) return input.host + " is no address";
    for (const Entry& old : entries_) {
      if (old.address->text() == address->text()) {
        address = old.address;
        break;
      }
    }
    std::string target = input.basePath;
    if (protocol_ == Protocol::kMlflow) target += "/invocations";
    if (target.empty()) target = "/";
    next.push_back({.address = std::move(address),
                    .target = std::move(target),
                    .hostLine = "host: " + input.authority + "\r\n",
                    .weight = input.weight,
                    .ready = input.ready});
  }
  for (Entry& old : entries_) {
    const bool stays = std::any_of(next.begin(), next.end(), [&old](const Entry& entry) {
      return entry.address.get() == old.address.get();
    });
    if (!stays) old.address->pool().drain();
  }
  entries_ = std::move(next);
  ready_.clear();
  std::vector<uint32_t> weights;
  for (uint32_t index = 0; index < entries_.size(); index++) {
    const Entry& entry = entries_[index];
    if (!entry.ready || entry.weight == 0) continue;
    ready_.push_back(index);
    weights.push_back(entry.weight);
  }
  choice_ = TwoChoices::build(weights);
  return {};
}

void AddressSet::setOnly(Ref<Address> address) {
  entries_.clear();
  entries_.push_back(
      {.address = std::move(address), .target = {}, .hostLine = {}, .weight = 1, .ready = true});
  ready_ = {0};
  choice_ = TwoChoices::build(std::vector<uint32_t>{1});
}

std::optional<uint32_t> AddressSet::pick(Xoshiro256pp& rng) const noexcept {
  if (!choice_) return std::nullopt;
  return ready_[choice_->pick(rng, [this](uint32_t slot) noexcept {
    return entries_[ready_[slot]].address->stats().inFlight;
  })];
}

std::optional<uint32_t> AddressSet::pickOther(Xoshiro256pp& rng,
                                              std::span<const Ref<Address>> tried) const noexcept {
  if (ready_.empty()) return std::nullopt;
  const auto start = static_cast<size_t>(rng.next() % ready_.size());
  for (size_t step = 0; step < ready_.size(); step++) {
    const uint32_t index = ready_[(start + step) % ready_.size()];
    const Address* address = entries_[index].address.get();
    const bool isTried = std::any_of(tried.begin(), tried.end(),
                                     [address](const auto& one) { return one.get() == address; });
    if (!isTried) return index;
  }
  return std::nullopt;
}

}  // namespace pointsman
