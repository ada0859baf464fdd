// The exchange's way through the limits, before it goes anywhere.
#include "net/engine.h"
#include "net/exchange.h"

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
  state_ = State::kConnecting;
  armPhase(0);
  // It ends in this turn, and with it the place.
  if (failLater_ != Failure::kNone) return;
  dispatch();
  reportDrain();
}

}  // namespace pointsman
