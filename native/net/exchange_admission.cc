// The exchange's way through the limits, before it goes anywhere.
#include "net/engine.h"
#include "net/exchange.h"
#include "net/wall_clock.h"

namespace pointsman {

void Exchange::admit(const Limit& entityLimit) noexcept {
  const Admission::Outcome outcome =
      engine_.admission().request(*this, entityLimit, deployment_->limit, deployment_->queueMax);
  switch (outcome) {
    case Admission::Outcome::kAdmitted:
      dispatch();
      break;
    case Admission::Outcome::kQueued:
      state_ = State::kQueued;
      armPhase(deployment_->queueMs);
      break;
    case Admission::Outcome::kNoPlace:
      failLater(isStoppedByEntity() ? Failure::kEntityLimit : Failure::kDeploymentLimit);
      break;
    case Admission::Outcome::kQueueFull:
      failLater(isStoppedByEntity() ? Failure::kEntityQueueFull : Failure::kDeploymentQueueFull);
      break;
  }
}

void Exchange::onAdmitted() noexcept {
  state_ = State::kAdmitted;
  armPhase(0);
  // It ends in this turn, and with it the place.
  if (failLater_ != Failure::kNone) return;
  if (isClaimGood()) {
    proceed();
  } else {
    door_->onClaimDoubtful(*this);
  }
}

// Nothing has changed since it was judged, and nobody else has taken over who could change it.
bool Exchange::isClaimGood() noexcept {
  if (!claim_) return true;
  if (engine_.startsNothing()) return false;
  const Ref<RoutingTable>& active = engine_.snapshot();
  return active && active->revision() == revision_ &&
         claim_->token.holds(engine_.authEpoch(), unixMs);
}

void Exchange::proceed() noexcept {
  if (state_ != State::kAdmitted || failLater_ != Failure::kNone) return;
  claim_.reset();
  state_ = State::kConnecting;
  dispatch();
  // In a turn of its own: this may be a call of the door.
  if (doorPaused_) engine_.loop().defer(this);
}

}  // namespace pointsman
