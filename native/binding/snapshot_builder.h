// Makes a RoutingTable of a Snapshot message as JS has decoded it.
//
// Runs at configuration time, in the worker for a prepare and in the supervisor for the trial
// build.
#pragma once

#include <napi.h>

#include <string>
#include <vector>

#include "net/engine.h"

namespace pointsman {

struct DeploymentUpdate {
  std::string deployment;
  std::vector<AddressInput> addresses;
};

// A table aside: invisible until it is activated, and its address changes wait with it.
struct PreparedSnapshot {
  Ref<RoutingTable> table;
  std::vector<DeploymentUpdate> addresses;
};

// Sets `error` and answers an empty table when the snapshot cannot be built.

PreparedSnapshot buildSnapshot(Engine& engine, const Napi::Object& snapshot, std::string& error);

DeploymentUpdate readAddresses(const Napi::Object& update);

// Applies to every live set of the deployment; the text of what cannot be used, or empty.
std::string applyAddresses(Engine& engine, const DeploymentUpdate& update);

}  // namespace pointsman
