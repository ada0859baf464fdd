// The live addresses of a deployment, and the choice among them.
//
// Which addresses there are and which of them probes find ready comes from the control plane
// (`update`); which of those fail requests is found here (`report`) and is this worker's own view:
//
//   ready      the control plane says so, and it has weight
//   failing    ready, but its requests fail (passive_health.h)
//   ejected    failing and left out of the choice; at most half of the ready ones, those that have
//              failed for longest, and none when all are failing
//   on trial   failing beyond that half, and no connection comes about: together they get
//              kTrialPercent of the requests, because each costs a retry
//
// Other failing addresses beyond the half stay in the choice: what overloads the replicas must not
// be put on ever fewer of them.
// Changes with name resolution and health, not with revisions; snapshots that name the same
// deployment share it. Thread: the loop's.
#pragma once

#include <cstdint>
#include <limits>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "core/rng.h"
#include "core/two_choices.h"
#include "net/address.h"
#include "net/ref.h"
#include "net/retry_budget.h"
#include "net/verdict.h"

namespace pointsman {

// kLocal: this worker's own JS, which sees the client's request as it is (native/front).
enum class Protocol : uint8_t { kMlflow = 0, kRaw = 1, kLocal = 2 };

constexpr uint32_t kTrialPercent = 5;

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
  // When probes last found it ready again after they had found it down; 0: never. Compared with
  // itself only.
  uint64_t recoveredAtMs = 0;
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
    uint64_t recoveredAtMs;
  };

  explicit AddressSet(Protocol protocol) noexcept : protocol_(protocol) {}

  // Takes over the addresses that stay, drains those that go. The text of what cannot be used, or
  // empty.
  std::string update(Engine& engine, const std::vector<AddressInput>& inputs);

  // One address, always ready, whose requests go to the client's own target.
  void setOnly(Ref<Address> address);

  // Index of an entry for a new request, by two random choices, loads of all workers compared;
  // nullopt when none is ready.
  std::optional<uint32_t> pick(Xoshiro256pp& rng, uint64_t nowMs) noexcept;
  // For another attempt of a request: a ready entry whose address is not among `tried`, one that is
  // not failing if there is one. nullopt when there is none or the retry budget is used up.
  std::optional<uint32_t> pickOther(Xoshiro256pp& rng, std::span<const Ref<Address>> tried,
                                    uint64_t nowMs) noexcept;
  // How an attempt at the address went that began at `startedMs`; once per attempt.
  void report(Address& address, Verdict verdict, uint64_t startedMs, uint64_t nowMs) noexcept;

  // An index is good until the next update.
  const Entry& entry(uint32_t index) const noexcept { return entries_[index]; }
  const std::vector<Entry>& entries() const noexcept { return entries_; }

 private:
  static constexpr uint64_t kNever = std::numeric_limits<uint64_t>::max();

  // When memory was short, how long until another try.
  static constexpr uint64_t kClassifyAgainMs = 100;

  void replaceReady(uint64_t nowMs);
  void classify(uint64_t nowMs) noexcept;
  bool choose() noexcept;
  void endEjections(uint64_t nowMs) noexcept;

  Protocol protocol_;
  std::vector<Entry> entries_;
  // Indices of entries that are ready and have weight.
  std::vector<uint32_t> ready_;
  // Those in the choice, parallel to its table, and those on trial.
  std::vector<uint32_t> chosen_;
  std::vector<uint32_t> onTrial_;
  std::optional<TwoChoices> choice_;
  // Room for classifying, made when the addresses are: what a request causes must not fail.
  std::vector<uint32_t> failing_;
  std::vector<uint32_t> nextChosen_;
  std::vector<uint32_t> weights_;
  // When the classes are to be looked at again: an address has failed for its time.
  uint64_t classifyAtMs_ = kNever;
  RetryBudget budget_;
};

}  // namespace pointsman
