// What becomes of a request by the verdict on its token: known, waited for, or made anew because it
// is older than the moment of dispatch.
#include "front/client_connection.h"
#include "front/front.h"
#include "front/invocation_path.h"
#include "net/wall_clock.h"

namespace pointsman {

// The request waits for a verdict on its token.
void ClientConnection::park() noexcept {
  state_ = State::kParked;
  stateSinceMs_ = front_.engine_.loop().nowMs();
  armFor(stateSinceMs_ + kVerdictMs);
  front_.park(*this);
}

// HOT. False: the token is not known, or not any more.
bool ClientConnection::takeToken() noexcept {
  const uint64_t epoch = front_.engine_.authEpoch();
  const JudgedToken* known = front_.tokens_.find(parser_.authorization(), epoch, unixMs);
  if (known == nullptr) return false;
  token_ = *known;
  judgedAtMs_ = front_.engine_.loop().nowMs();
  return true;
}

// HOT. A body may come long after its head, and what is dispatched with it must be allowed then: a
// token that was revoked or has expired in between is judged anew.
bool ClientConnection::isVerdictStale() noexcept {
  if (exchange_ != nullptr || route_ != Route::kInvocation || answerBegun_ ||
      state_ != State::kRelaying || !front_.settings_.authRequired) {
    return false;
  }
  Engine& engine = front_.engine_;
  if (judgedAtMs_ == engine.loop().nowMs() && token_.epoch == engine.authEpoch()) return false;
  return !takeToken();
}

// The request may be relayed, as far as its head says.
void ClientConnection::proceed() noexcept {
  state_ = State::kRelaying;
  const int64_t length = parser_.contentLength();
  if (length > 0 && static_cast<uint64_t>(length) > front_.settings_.requestBytesMax) {
    refuse(Refusal::kBodyTooLarge);
  }
}

void ClientConnection::admit() noexcept {
  if (!takeToken()) {
    // Revoked or expired between the verdict and now: asked anew, within the same deadline.
    front_.park(*this);
    return;
  }
  windowSinceMs_ = front_.engine_.loop().nowMs();
  if (exchange_ != nullptr) {
    state_ = State::kRelaying;
    judgeClaim();
  } else {
    proceed();
  }
  readOn();
}

void ClientConnection::reject(Refusal refusal) noexcept {
  windowSinceMs_ = front_.engine_.loop().nowMs();
  state_ = State::kRelaying;
  refuse(refusal);
  readOn();
}

// What came of the message while it was parked.
void ClientConnection::readOn() noexcept {
  if (state_ != State::kRelaying) return;
  if (!requestComplete_) takePending({});
  if (isOpen()) watchAsNeeded();
}

// It waited under a limit. Its place stays its own while its token is judged anew.
void ClientConnection::onClaimDoubtful(Exchange& /*exchange*/) noexcept {
  if (takeToken()) {
    judgeClaim();
    return;
  }
  park();
  watchAsNeeded();
}

void ClientConnection::judgeClaim() noexcept {
  InvocationPath path;
  parseInvocationPath(parser_.path(), front_.settings_.workspaceId, path);
  const Engine::Dispatch::Refusal refusal =
      front_.engine_.judgeAgain(*exchange_->claim()->endpoint, path.endpoint, callerBy(path));
  if (refusal == Engine::Dispatch::Refusal::kNone) {
    exchange_->proceed();
  } else {
    refuse(refusalOf(refusal));
  }
}

}  // namespace pointsman
