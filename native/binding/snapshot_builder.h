// Makes a RoutingTable of a SnapshotDelta message as JS has decoded it.
//
// Runs at configuration time, in the worker for a prepare and in the supervisor for the trial
// build.
#pragma once

#include <napi.h>

#include <string>
#include <vector>

#include "net/engine.h"

namespace pointsman {

// Makes the table of a SnapshotDelta. Sets `error` and answers an empty table when it cannot be
// built: its base is unknown, an endpoint names a deployment that is not there, shares make no
// split, a slot is out of range.
PreparedSnapshot buildSnapshot(Engine& engine, const Napi::Object& delta, std::string& error);

DeploymentUpdate readAddresses(const Napi::Object& update);

}  // namespace pointsman
