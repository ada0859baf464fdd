// What becomes of a request by the verdict on its token: known, waited for, or made anew because it
// is older than the moment of dispatch.
#include "front/client_connection.h"
#include "front/front.h"
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
bool ClientConnection::takeGrant() noexcept {
  const uint64_t epoch = front_.engine_.authEpoch();
  const Ref<TokenGrant>* grant = front_.tokens_.find(parser_.authorization(), epoch, unixMs());
  if (grant == nullptr) return false;
  grant_ = *grant;
  judgedAtMs_ = front_.engine_.loop().nowMs();
  judgedEpoch_ = epoch;
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
  if (judgedAtMs_ == engine.loop().nowMs() && judgedEpoch_ == engine.authEpoch()) return false;
  return !takeGrant();
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
  if (!takeGrant()) {
    // Revoked or expired between the verdict and now: asked anew, within the same deadline.
    front_.park(*this);
    return;
  }
  windowSinceMs_ = front_.engine_.loop().nowMs();
  proceed();
  if (state_ != State::kRelaying) return;
  takePending({});
  if (isOpen()) watchAsNeeded();
}

void ClientConnection::reject(Refusal refusal) noexcept {
  state_ = State::kRelaying;
  refuse(refusal);
  if (state_ != State::kRelaying) return;
  takePending({});
  if (isOpen()) watchAsNeeded();
}

}  // namespace pointsman
