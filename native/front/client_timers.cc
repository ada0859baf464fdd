// How long a connection waits for what: one timer, and deadlines that follow from its state.
#include <algorithm>

#include "front/client_connection.h"
#include "front/front.h"

namespace pointsman {

// Deadlines only ever move the timer to earlier here; one that is over when the timer fires is
// looked up anew, so that a request costs no list work.
void ClientConnection::armFor(uint64_t deadlineMs) noexcept {
  if (!armed() || deadlineMs < this->deadlineMs()) front_.engine_.wheel().arm(*this, deadlineMs);
}

uint64_t ClientConnection::nextDeadline() const noexcept {
  switch (state_) {
    case State::kHead:
      return stateSinceMs_ + kHeadMs;
    case State::kParked:
      return stateSinceMs_ + kVerdictMs;
    case State::kLingering:
      return stateSinceMs_ + kLingerMs;
    case State::kRelaying: {
      uint64_t next = front_.engine_.loop().nowMs() + kClientIdleMs;
      if (!requestComplete_ && !requestPaused_) next = windowSinceMs_ + kBodyWindowMs;
      if (!out_.empty()) next = std::min(next, writtenAtMs_ + kWriteStallMs);
      return next;
    }
    default:
      return stateSinceMs_ + kClientIdleMs;
  }
}

void ClientConnection::onTimeout() noexcept {
  const uint64_t now = front_.engine_.loop().nowMs();
  if (now >= nextDeadline()) onOverdue(now);
  if (isOpen()) armFor(nextDeadline());
}

void ClientConnection::onOverdue(uint64_t now) noexcept {
  switch (state_) {
    case State::kHead:
      keepAlive_ = false;
      refuse(Refusal::kHeadTimeout);
      return;
    case State::kParked:
      keepAlive_ = false;
      refuse(Refusal::kNoVerdict);
      return;
    case State::kRelaying:
      if (!out_.empty() && now >= writtenAtMs_ + kWriteStallMs) {
        breakOff();
      } else if (windowBytes_ < kBodyWindowBytesMin) {
        windowSinceMs_ = now;
        keepAlive_ = false;
        refuse(Refusal::kBodyTimeout);
      } else {
        windowSinceMs_ = now;
        windowBytes_ = 0;
      }
      return;
    default:
      close();
  }
}

}  // namespace pointsman
