// Everything one worker needs to relay: loop, timers, random numbers, exchanges, live address sets,
// and the snapshots it may dispatch under.
//
// A change becomes effective by one store to the control page, made by another process. So every
// dispatch reads that word first (`snapshot`); when it has moved, the table prepared for its
// revision takes over.
//
// Thread: the loop's. Owns exchanges, tables and address sets; borrows the loop, the read buffer
// and the shared memory, which must outlive it. Whoever else holds a Ref to one of its tables, sets
// or addresses drops it before the engine dies; the engine must not be destroyed from inside a call
// of a door.
#pragma once

#include <atomic>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "core/byte_buffer.h"
#include "core/growing_array.h"
#include "core/rng.h"
#include "core/shared_block.h"
#include "net/admission.h"
#include "net/deployment.h"
#include "net/exchange.h"
#include "net/loop.h"
#include "net/revision_pins.h"
#include "net/routing_table.h"
#include "net/timer_wheel.h"
#include "net/token_grant.h"

namespace pointsman {

struct DeploymentUpdate {
  std::string deployment;
  std::vector<AddressInput> addresses;
};

// A table aside, invisible until the control page names its revision; its address changes wait with
// it.
struct PreparedSnapshot {
  Ref<RoutingTable> table;
  std::vector<DeploymentUpdate> addresses;
};

class Engine {
 public:
  // `readBuffer` gets what replicas send: kReadBufferBytes. The column is this engine's alone to
  // write; `columns` are those of all workers, its own among them (none: it works alone). `peers`:
  // the same column among those of all workers.
  Engine(Loop& loop, Xoshiro256pp rng, std::span<char> readBuffer, const ControlPage& control,
         Column& column, AdmissionPeers peers, std::span<const Column> columns = {});
  ~Engine();
  Engine(const Engine&) = delete;
  Engine& operator=(const Engine&) = delete;

  Loop& loop() noexcept { return loop_; }
  TimerWheel& wheel() noexcept { return wheel_; }
  Xoshiro256pp& rng() noexcept { return rng_; }
  std::span<char> readBuffer() const noexcept { return readBuffer_; }
  Column& column() noexcept { return column_; }
  // For what is sent at once; good until the next call of anybody.
  ByteBuffer& sendBuffer() noexcept { return sendBuffer_; }
  // For the fields of the answer that is handed to a door; good until the next call of anybody. Has
  // room for all that a parser lets pass.
  ByteBuffer& answerFields() noexcept { return answerFields_; }
  std::span<const Column> columns() const noexcept { return columns_; }
  Admission& admission() noexcept { return admission_; }

  // A free exchange, to be started at once; it counts as dispatched under `revision`. It returns to
  // the engine by itself after its end. nullptr when there is no memory for one more.
  Exchange* createExchange(uint64_t revision) noexcept;
  // For a request to this worker's own JS: under no revision, and not counted as in flight.
  Exchange* createLocalExchange() noexcept;
  // No door is called for any request that is in flight now.
  void cancelAll() noexcept;
  // nullptr unless `id` is a live exchange.
  Exchange* exchange(uint32_t id) noexcept;

  // Which served entity gets a request that is dispatched now. `target` is null unless the endpoint
  // has the entity; with kNoDeployment the request was counted as `countUnserved` does.
  struct Dispatch {
    enum class Refusal : uint8_t {
      kNone,
      kNoSnapshot,
      kNoEndpoint,
      kNoEntity,
      kNoDeployment,
      // The token does not open the endpoint.
      kForbidden,
      // At this URL the endpoint takes only tokens that name it.
      kRouteToken,
      // After startNothing.
      kTakenOver,
    };
    Refusal refusal = Refusal::kNone;
    uint64_t revision = 0;
    // Both live as long as the table of the revision: good until the loop turns.
    const EntityTarget* target = nullptr;
    const EndpointRoutes* endpoint = nullptr;
  };
  // On whose behalf, and by which URL of the endpoint.
  struct Caller {
    // Borrowed; nullptr: whoever it is may query everything.
    const TokenGrant* grant = nullptr;
    // The URL that route-optimized endpoints show as theirs.
    bool byRoute = false;
    // Endpoint id that the host name holds; empty: none.
    std::string_view hostId{};
  };
  // `entity` empty: drawn by the endpoint's split. The moment of the call decides the revision.
  // HOT.
  Dispatch dispatch(std::string_view endpoint, std::string_view entity, bool isNative,
                    const Caller& caller) noexcept;
  // Whether the caller may still query the endpoint that `before` was, under the active revision.
  Dispatch::Refusal judgeAgain(const EndpointRoutes& before, std::string_view endpoint,
                               const Caller& caller) noexcept;
  // A request that was dispatched and got no exchange, as answered with 503.
  void countUnserved(const EntityTarget& target, bool isNative) noexcept;
  // From now on whatever asks to be dispatched or judged again is refused: another process has
  // taken over, and what that one takes away is not heard of here.
  void startNothing() noexcept { startsNothing_ = true; }
  bool startsNothing() const noexcept { return startsNothing_; }
  uint64_t authEpoch() const noexcept { return control_.authEpoch.load(std::memory_order_acquire); }

  // The live set of a deployment, made on first use. A protocol of its own makes other request
  // targets, so it is part of the key.
  Ref<AddressSet> addressSet(const std::string& deployment, Protocol protocol);
  // Applies to every live set of the deployment; the text of what cannot be used, or empty.
  std::string updateAddresses(const DeploymentUpdate& update);

  // The table that the control page's revision names; empty before the first one.
  // HOT: one load and one comparison per dispatch.
  const Ref<RoutingTable>& snapshot() noexcept {
    const uint64_t revision = control_.activeRevision.load(std::memory_order_acquire);
    if (revision != activeRevision_) switchTo(revision);
    return active_;
  }
  // Newest table that is active or prepared with this revision, to derive another from; empty if
  // unknown.
  Ref<RoutingTable> tableOf(uint64_t revision) const noexcept;
  void prepare(PreparedSnapshot prepared) {
    // What became active since the last dispatch takes over first, so that few wait.
    snapshot();
    prepared_.push_back(std::move(prepared));
  }
  void discard(uint64_t revision) noexcept;
  // Switches if the word has moved, and drops sets that no table names any more.
  void settle();
  // The same, at next to no cost while there is nothing to settle: for a worker that dispatches
  // nothing.
  void settleIfMoved() {
    snapshot();
    if (settledRevision_ != activeRevision_) settle();
  }

 private:
  friend class Exchange;
  Exchange* takeExchange() noexcept;
  void giveBack(Exchange& exchange) noexcept;
  void recycle(Exchange& exchange) noexcept;
  void switchTo(uint64_t revision) noexcept;
  void publishRevisions() noexcept;

  Loop& loop_;
  TimerWheel wheel_;
  Xoshiro256pp rng_;
  std::span<char> readBuffer_;
  const ControlPage& control_;
  Column& column_;
  std::span<const Column> columns_;
  // Before everything that holds gates.
  Admission admission_;
  ByteBuffer sendBuffer_;
  ByteBuffer answerFields_;
  // By id; it never shrinks.
  GrowingArray<std::unique_ptr<Exchange>> exchanges_;
  // Of exchanges_; the one that was used last comes first.
  Exchange* firstFree_ = nullptr;
  RevisionPins pins_;
  std::map<std::pair<std::string, Protocol>, Ref<AddressSet>> addressSets_;
  bool startsNothing_ = false;
  uint64_t activeRevision_ = 0;
  // Revision of the last `settle`.
  uint64_t settledRevision_ = 0;
  Ref<RoutingTable> active_;
  // Oldest first; one, or two while a refused one has not been discarded yet.
  std::vector<PreparedSnapshot> prepared_;
};

}  // namespace pointsman
