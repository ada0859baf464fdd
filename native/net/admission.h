// Admission of requests to deployments and served entities: who may go now, who waits, who is next.
//
//   request ─► entity's gate ─► deployment's gate ─► admitted ─► end
//                  │  ▲              │  ▲
//                  └──┘ waits        └──┘ waits          (either: end, when the client or its time
//                  goes)
//
// A gate stands before everything that is counted; its places and what other workers have are
// core/limiter's. A request waits in its worker, in order of arrival, at the first gate that has no
// place; at the deployment's gate it holds its place at the entity's, never the other way round, so
// nothing waits in a circle. Each gate's places go to the oldest request of all workers.
//
// Who changes a word that others act upon looks who waits then (`lookAround`): if the next place
// belongs to another worker, that one is woken through its eventfd; it takes the place and looks in
// its turn. So one wake-up is under way as long as there is a place that somebody waits for. A
// worker that was woken and does not take its place (it is stopped, or dead and not yet missed)
// is passed over after two looks kRescueMs apart.
// Thread: the loop's. Owned by the engine; gates and tickets die before it.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "core/limiter.h"
#include "net/deferred.h"
#include "net/loop.h"
#include "net/ref.h"
#include "net/timer_wheel.h"

namespace pointsman {

class Admission;
class Ticket;

// How long a place may stay free although another worker was woken for it.
constexpr uint64_t kRescueMs = 40;

// The worker's side of one limit slot. Shared by the snapshots that name the slot.
class Gate final : public RefCounted<Gate> {
 public:
  Gate(Admission& admission, uint32_t slot);
  ~Gate();

  uint32_t slot() const noexcept { return slot_; }

 private:
  friend class Admission;
  Admission& admission_;
  const uint32_t slot_;
  // Oldest first. Borrowed; a ticket leaves before it dies.
  Ticket* first_ = nullptr;
  Ticket* last_ = nullptr;
  // What a rescue found: the head of another worker that has a place and does not take it.
  uint32_t suspectWorker_ = Limiter::kNobody;
  uint64_t suspectUs_ = 0;
  // By worker the head that is passed over; empty until the first one is, with room for all.
  std::vector<uint64_t> passedOver_;
};

// A gate and how many it lets in under one revision.
struct Limit {
  Ref<Gate> gate;
  uint32_t maxInFlight = 0;  // 0: any number, which is counted all the same
};

// One request's way through its gates. Members belong to Admission.
class Ticket {
 public:
  Ticket() = default;
  Ticket(const Ticket&) = delete;
  Ticket& operator=(const Ticket&) = delete;

  // The limit that it waits for, or that refused it, is the entity's.
  bool isStoppedByEntity() const noexcept { return held_ == 0; }

 protected:
  ~Ticket() = default;
  // From loop events only. It may end the ticket.
  virtual void onAdmitted() noexcept = 0;

 private:
  friend class Admission;
  static constexpr size_t kEntity = 0;
  static constexpr size_t kDeployment = 1;
  static constexpr size_t kGates = 2;

  std::array<Limit, kGates> limits_;
  // Gates passed, in order.
  uint8_t held_ = 0;
  bool isWaiting_ = false;
  bool isCounted_ = false;
  uint64_t sinceUs_ = 0;
  Ticket* older_ = nullptr;
  Ticket* younger_ = nullptr;
};

struct AdmissionPeers {
  std::vector<LimitColumn> columns{};
  uint32_t self = 0;
  // By worker; borrowed. Empty: there are no others.
  std::vector<int> wakeFds{};
};

class Admission final : private IoWatcher, private Timer, private Deferred {
 public:
  enum class Outcome : uint8_t { kAdmitted, kQueued, kNoPlace, kQueueFull };

  Admission(Loop& loop, TimerWheel& wheel, AdmissionPeers peers);
  ~Admission();
  Admission(const Admission&) = delete;
  Admission& operator=(const Admission&) = delete;

  // False when its own wake descriptor cannot be watched: what waits here would wait for a rescue
  // each time, so a worker must not begin like that.
  bool isWakeable() const noexcept { return wakeFds_.empty() || watch_ != nullptr; }

  // The gate of a limit slot, made on first use.
  Ref<Gate> gate(uint32_t slot);

  // A limit without a gate lets everything in. kQueued: `onAdmitted` follows, unless `end` comes
  // first. After the other refusals the ticket holds nothing.
  Outcome request(Ticket& ticket, const Limit& entity, const Limit& deployment, uint32_t queueMax);
  // Gives back what it holds or leaves the queue. No effect on a ticket that is at neither.
  void end(Ticket& ticket) noexcept;
  // Its time in the queue is over; `end` is still to be called.
  void countDeadline(Ticket& ticket) noexcept;

 private:
  friend class Gate;
  void onIo(uint32_t events) noexcept override;
  void onTimeout() noexcept override;
  void onDeferred() noexcept override;

  bool advance(Ticket& ticket) noexcept;
  void releaseHeld(Ticket& ticket) noexcept;
  void enqueue(Ticket& ticket) noexcept;
  void dequeue(Ticket& ticket) noexcept;
  void publishHead(Gate& gate) noexcept;
  void lookAround(Gate& gate) noexcept;
  void serveAll() noexcept;
  void serve(Gate& gate) noexcept;
  void rescue(Gate& gate) noexcept;
  void wake(uint32_t worker) noexcept;

  Loop& loop_;
  TimerWheel& wheel_;
  Limiter limiter_;
  std::vector<int> wakeFds_;
  Loop::Watch* watch_ = nullptr;
  // By limit slot; null where no snapshot and no request names the slot.
  std::vector<Gate*> gates_;
  // Those where requests of this worker wait, and the same while they are served; with room for all
  // gates.
  std::vector<Gate*> waiting_;
  std::vector<Ref<Gate>> serving_;
};

}  // namespace pointsman
