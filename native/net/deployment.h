// Where the requests of a served entity go.
//
//   DeploymentSpec  immutable part of a snapshot: how to talk to the replicas
//   AddressSet      live part: which addresses there are, which are ready; changes with name
//   resolution and
//                   health, not with revisions. Snapshots that name the same deployment share it.
//
// Thread: the loop's.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/rng.h"
#include "core/two_choices.h"
#include "net/address.h"
#include "net/admission.h"
#include "net/ref.h"

namespace pointsman {

enum class Protocol : uint8_t { kMlflow = 0, kRaw = 1 };

// What an AddressSet is made of, as the control plane knows it.
struct AddressInput {
  std::string host;
  uint16_t port = 0;
  std::string authority;
  std::string basePath;
  uint32_t weight = 1;
  bool ready = true;
  // Index of its counters in every column.
  uint32_t statsSlot = 0;
};

class AddressSet final : public RefCounted<AddressSet> {
 public:
  struct Entry {
    Ref<Address> address;
    // Request target and Host line for this replica, made once: "{basePath}/invocations" or
    // "{basePath}".
    std::string target;
    std::string hostLine;
    uint32_t weight;
    bool ready;
  };

  explicit AddressSet(Protocol protocol) noexcept : protocol_(protocol) {}

  // Takes over the addresses that stay, drains those that go. The text of what cannot be used, or
  // empty.
  std::string update(Engine& engine, const std::vector<AddressInput>& inputs);

  // Index of a ready entry by two random choices, loads compared; nullopt when none is ready.
  std::optional<uint32_t> pick(Xoshiro256pp& rng) const noexcept;
  // Any ready entry whose address is not among `tried`.
  std::optional<uint32_t> pickOther(Xoshiro256pp& rng,
                                    std::span<const Ref<Address>> tried) const noexcept;

  // An index is good until the next update.
  const Entry& entry(uint32_t index) const noexcept { return entries_[index]; }
  const std::vector<Entry>& entries() const noexcept { return entries_; }

 private:
  Protocol protocol_;
  std::vector<Entry> entries_;
  // Indices of entries that are ready and have weight; parallel to the table.
  std::vector<uint32_t> ready_;
  std::optional<TwoChoices> choice_;
};

struct DeploymentSpec final : public RefCounted<DeploymentSpec> {
  std::string name;
  Protocol protocol = Protocol::kMlflow;
  // "name: value\r\n"*, set last on every request.
  std::string headerLines;
  uint32_t connectMs = 0;
  uint32_t responseHeaderMs = 0;
  uint32_t bodyIdleMs = 0;
  uint32_t totalMs = 0;  // 0: none
  uint32_t keepaliveIdleMs = 0;
  bool replaySafe = false;
  Limit limit;
  // Requests that may wait for a place, over all workers and the limits of the entities included.
  uint32_t queueMax = 0;
  uint32_t queueMs = 0;
  Ref<AddressSet> addresses;
};

}  // namespace pointsman
