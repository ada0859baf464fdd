// Where the requests of a served entity go: the immutable part of a snapshot, which says how to
// talk to the replicas. Which addresses there are is the live part, address_set.h.
#pragma once

#include <cstdint>
#include <string>

#include "net/address_set.h"
#include "net/admission.h"
#include "net/ref.h"

namespace pointsman {

struct DeploymentSpec final : public RefCounted<DeploymentSpec> {
  std::string name;
  Protocol protocol = Protocol::kMlflow;
  // "name: value\r\n"*, set last on every request.
  std::string headerLines;
  uint32_t connectMs = 0;
  uint32_t responseHeaderMs = 0;
  uint32_t bodyIdleMs = 0;
  uint32_t totalMs = 0;  // 0: none
  uint32_t keepaliveIdleMs = 0;
  bool replaySafe = false;
  Limit limit;
  // Requests that may wait for a place, over all workers and the limits of the entities included.
  uint32_t queueMax = 0;
  uint32_t queueMs = 0;
  Ref<AddressSet> addresses;
};

}  // namespace pointsman
