// What the end of one attempt says about the address it went to.
//
// Sickness is what another request would meet as well: no connection, no answer in time, an answer
// that is broken or breaks off, a status of 500 and above. Not sickness: overload that the replica
// speaks of itself (429; 503 with Retry-After), statuses that judge the request (501, 505), and
// whatever the client's leaving or slowness ended. Like HAProxy's `observe layer7` and Envoy's
// `consecutive_5xx`, 500 counts: a replica with a broken device answers it to everything, and one
// request that a model cannot bear is followed by others that it can.
#pragma once

#include <cstdint>
#include <span>

#include "http1/field.h"

namespace pointsman {

enum class Failure : uint8_t;

enum class Verdict : uint8_t {
  // Nothing.
  kNone,
  kSuccess,
  kFailure,
  // A failure: no connection came about.
  kUnreachable,
};

// Of a complete answer.
Verdict verdictOf(int status, bool hasRetryAfter) noexcept;
// Of a failure. `waitsForClient`: everything that the client sent was passed on, and more is due.
Verdict verdictOf(Failure failure, bool waitsForClient) noexcept;

// Of a connection that did not come about. What this machine lacks is kConnectionLimit
// (descriptors, ports) or kOutOfMemory, and no fault of the address.
Failure failureOfConnect(int error) noexcept;

bool hasRetryAfter(std::span<const HeaderField> fields) noexcept;

}  // namespace pointsman
