#include "net/admission.h"

#include <unistd.h>

#include <algorithm>
#include <ctime>
#include <utility>

namespace pointsman {

namespace {

// Attempts of one serve that other workers' attempts undid; then the loop turns first.
constexpr int kDisturbancesMax = 16;

// One clock for all workers; never 0.
uint64_t nowUs() noexcept {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<uint64_t>(now.tv_sec) * 1'000'000 +
         static_cast<uint64_t>(now.tv_nsec) / 1'000 + 1;
}

uint32_t numberOf(const Limit& limit) noexcept {
  return limit.maxInFlight == 0 ? kUnlimited : limit.maxInFlight;
}

}  // namespace

Gate::Gate(Admission& admission, uint32_t slot) : admission_(admission), slot_(slot) {
  passedOver_.reserve(admission.limiter_.workers());
}

Gate::~Gate() {
  admission_.gates_[slot_] = nullptr;
}

Admission::Admission(Loop& loop, TimerWheel& wheel, AdmissionPeers peers)
    : loop_(loop),
      wheel_(wheel),
      limiter_(std::move(peers.columns), peers.self),
      wakeFds_(std::move(peers.wakeFds)) {
  if (!wakeFds_.empty()) watch_ = loop_.watch(wakeFds_[limiter_.self()], kReadable, this);
}

Admission::~Admission() {
  wheel_.cancel(*this);
  loop_.undefer(this);
  if (watch_ != nullptr) loop_.unwatch(watch_);
}

Ref<Gate> Admission::gate(uint32_t slot) {
  if (gates_.size() <= slot) {
    gates_.resize(slot + size_t{1}, nullptr);
    // What waits is listed without asking for memory.
    waiting_.reserve(gates_.capacity());
    serving_.reserve(gates_.capacity());
  }
  if (gates_[slot] != nullptr) return Ref<Gate>(gates_[slot]);
  Ref<Gate> made = makeRef<Gate>(*this, slot);
  gates_[slot] = made.get();
  return made;
}

Admission::Outcome Admission::request(Ticket& ticket, const Limit& entity, const Limit& deployment,
                                      uint32_t queueMax) {
  ticket.limits_ = {entity, deployment};
  ticket.held_ = 0;
  ticket.sinceUs_ = nowUs();
  if (advance(ticket)) return Outcome::kAdmitted;
  Gate& counted = *ticket.limits_[Ticket::kDeployment].gate;
  ticket.isCounted_ = queueMax > 0 && limiter_.tryJoin(counted.slot_, queueMax);
  if (ticket.isCounted_) {
    enqueue(ticket);
    return Outcome::kQueued;
  }
  limiter_.own(counted.slot_).refusedFull++;
  const uint8_t stoppedAt = ticket.held_;
  releaseHeld(ticket);
  ticket.held_ = stoppedAt;
  return queueMax > 0 ? Outcome::kQueueFull : Outcome::kNoPlace;
}

// True when all gates are passed.
bool Admission::advance(Ticket& ticket) noexcept {
  while (ticket.held_ < Ticket::kGates) {
    const Limit& limit = ticket.limits_[ticket.held_];
    if (limit.gate) {
      Gate& gate = *limit.gate;
      const bool entered =
          limiter_.enter(gate.slot_, numberOf(limit), ticket.sinceUs_, gate.passedOver_);
      lookAround(gate);
      if (!entered) return false;
    }
    ticket.held_++;
  }
  return true;
}

void Admission::end(Ticket& ticket) noexcept {
  if (ticket.isWaiting_) {
    Gate& gate = *ticket.limits_[ticket.held_].gate;
    dequeue(ticket);
    lookAround(gate);
  }
  if (ticket.isCounted_) limiter_.leave(ticket.limits_[Ticket::kDeployment].gate->slot_);
  ticket.isCounted_ = false;
  releaseHeld(ticket);
}

void Admission::releaseHeld(Ticket& ticket) noexcept {
  for (size_t index = 0; index < ticket.held_; index++) {
    const Limit& limit = ticket.limits_[index];
    if (!limit.gate) continue;
    limiter_.release(limit.gate->slot_);
    lookAround(*limit.gate);
  }
  ticket.held_ = 0;
  ticket.limits_ = {};
}

void Admission::countDeadline(Ticket& ticket) noexcept {
  limiter_.own(ticket.limits_[Ticket::kDeployment].gate->slot_).refusedDeadline++;
}

// Mostly at the end; one that comes from the entity's gate may be older than those that wait.
void Admission::enqueue(Ticket& ticket) noexcept {
  Gate& gate = *ticket.limits_[ticket.held_].gate;
  Ticket* before = gate.last_;
  while (before != nullptr && before->sinceUs_ > ticket.sinceUs_) before = before->older_;
  Ticket* behind = before != nullptr ? before->younger_ : gate.first_;
  ticket.older_ = before;
  ticket.younger_ = behind;
  if (gate.first_ == nullptr) waiting_.push_back(&gate);
  (before != nullptr ? before->younger_ : gate.first_) = &ticket;
  (behind != nullptr ? behind->older_ : gate.last_) = &ticket;
  ticket.isWaiting_ = true;
  limiter_.addWaiter();
  if (before == nullptr) publishHead(gate);
  if (!armed()) wheel_.arm(*this, loop_.nowMs() + kRescueMs);
  // The second look: a place may have become free since the first.
  lookAround(gate);
}

// The caller looks around afterwards.
void Admission::dequeue(Ticket& ticket) noexcept {
  Gate& gate = *ticket.limits_[ticket.held_].gate;
  const bool wasFirst = gate.first_ == &ticket;
  (ticket.older_ != nullptr ? ticket.older_->younger_ : gate.first_) = ticket.younger_;
  (ticket.younger_ != nullptr ? ticket.younger_->older_ : gate.last_) = ticket.older_;
  ticket.older_ = ticket.younger_ = nullptr;
  ticket.isWaiting_ = false;
  if (wasFirst) publishHead(gate);
  limiter_.removeWaiter();
  if (gate.first_ != nullptr) return;
  waiting_.erase(std::find(waiting_.begin(), waiting_.end(), &gate));
  if (waiting_.empty()) wheel_.cancel(*this);
}

void Admission::publishHead(Gate& gate) noexcept {
  const Ticket* head = gate.first_;
  if (head == nullptr) {
    limiter_.publishHead(gate.slot_, 0, 0);
  } else {
    limiter_.publishHead(gate.slot_, head->sinceUs_, numberOf(head->limits_[head->held_]));
  }
}

// Nobody is admitted here: this may be a call from a door, which must not hear of another request.
void Admission::lookAround(Gate& gate) noexcept {
  if (!limiter_.anyoneWaits()) return;
  const Limiter::Outlook next = limiter_.outlook(gate.slot_, gate.passedOver_);
  if (!next.hasRoom()) return;
  if (next.worker == limiter_.self()) {
    loop_.defer(this);
  } else {
    wake(next.worker);
  }
}

void Admission::onDeferred() noexcept {
  serveAll();
}

// Woken by another worker: which gate it is about is not said.
void Admission::onIo(uint32_t /*events*/) noexcept {
  uint64_t count = 0;
  (void)!::read(wakeFds_[limiter_.self()], &count, sizeof count);
  serveAll();
}

void Admission::serveAll() noexcept {
  // A copy: gates come and go as requests are admitted.
  serving_.clear();
  for (Gate* gate : waiting_) serving_.emplace_back(gate);
  for (const Ref<Gate>& gate : serving_) serve(*gate);
  serving_.clear();
}

void Admission::serve(Gate& gate) noexcept {
  int disturbances = 0;
  while (gate.first_ != nullptr) {
    const Limiter::Outlook next = limiter_.outlook(gate.slot_, gate.passedOver_);
    if (!next.hasRoom()) return;
    if (next.worker != limiter_.self()) {
      wake(next.worker);
      return;
    }
    Ticket& ticket = *gate.first_;
    if (!limiter_.tryReserve(gate.slot_, numberOf(ticket.limits_[ticket.held_]))) {
      if (++disturbances < kDisturbancesMax) continue;
      loop_.defer(this);
      return;
    }
    dequeue(ticket);
    ticket.held_++;
    if (!advance(ticket)) {
      enqueue(ticket);
      continue;
    }
    limiter_.leave(ticket.limits_[Ticket::kDeployment].gate->slot_);
    ticket.isCounted_ = false;
    ticket.onAdmitted();
  }
  lookAround(gate);
}

void Admission::onTimeout() noexcept {
  for (Gate* gate : waiting_) rescue(*gate);
  serveAll();
  if (!waiting_.empty() && !armed()) wheel_.arm(*this, loop_.nowMs() + kRescueMs);
}

// A head of another worker that had a place at the last look and has one still is passed over until
// that worker shows another head.
void Admission::rescue(Gate& gate) noexcept {
  const Limiter::Outlook next = limiter_.outlook(gate.slot_, gate.passedOver_);
  if (!next.hasRoom() || next.worker == limiter_.self()) {
    gate.suspectWorker_ = Limiter::kNobody;
    return;
  }
  if (next.worker == gate.suspectWorker_ && next.sinceUs == gate.suspectUs_) {
    gate.passedOver_.resize(limiter_.workers(), 0);
    gate.passedOver_[next.worker] = next.sinceUs;
  }
  gate.suspectWorker_ = next.worker;
  gate.suspectUs_ = next.sinceUs;
}

void Admission::wake(uint32_t worker) noexcept {
  if (worker >= wakeFds_.size()) return;
  // Fails only when the counter is full, and then the worker is going to wake anyway.
  const uint64_t one = 1;
  (void)!::write(wakeFds_[worker], &one, sizeof one);
}

}  // namespace pointsman
