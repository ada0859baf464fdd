#include "net/verdict.h"

#include <algorithm>
#include <cerrno>

#include "net/exchange.h"

namespace pointsman {

Verdict verdictOf(int status, bool hasRetryAfter) noexcept {
  if (status < 500 || status == 501 || status == 505) return Verdict::kSuccess;
  return status == 503 && hasRetryAfter ? Verdict::kSuccess : Verdict::kFailure;
}

Verdict verdictOf(Failure failure, bool waitsForClient) noexcept {
  switch (failure) {
    case Failure::kConnectFailed:
    case Failure::kConnectTimeout:
      return Verdict::kUnreachable;
    case Failure::kClosedBeforeAnswer:
    case Failure::kBadAnswer:
    case Failure::kTruncated:
    case Failure::kBodyIdleTimeout:
      return Verdict::kFailure;
    case Failure::kResponseHeaderTimeout:
    case Failure::kTotalTimeout:
      return waitsForClient ? Verdict::kNone : Verdict::kFailure;
    // Ours, or the client's: no address had a part in it.
    case Failure::kNone:
    case Failure::kDeploymentLimit:
    case Failure::kDeploymentQueueFull:
    case Failure::kDeploymentQueueTimeout:
    case Failure::kEntityLimit:
    case Failure::kEntityQueueFull:
    case Failure::kEntityQueueTimeout:
    case Failure::kNoReadyAddress:
    case Failure::kConnectionLimit:
    case Failure::kBadRequest:
    case Failure::kOutOfMemory:
    case Failure::kLoop:
      return Verdict::kNone;
  }
  return Verdict::kNone;
}

Failure failureOfConnect(int error) noexcept {
  switch (error) {
    case ETIMEDOUT:
      return Failure::kConnectTimeout;
    case ENOMEM:
      return Failure::kOutOfMemory;
    case EMFILE:
    case ENFILE:
    case ENOBUFS:
    case EAGAIN:
    case EADDRNOTAVAIL:
      return Failure::kConnectionLimit;
    default:
      return Failure::kConnectFailed;
  }
}

bool hasRetryAfter(std::span<const HeaderField> fields) noexcept {
  return std::any_of(fields.begin(), fields.end(), [](const HeaderField& field) {
    return equalsLower(field.name, "retry-after");
  });
}

}  // namespace pointsman
