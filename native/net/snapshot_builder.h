// Makes a RoutingTable of what proto/control.proto calls a prepare, as it came from control.sock.
//
// Runs at configuration time, on the loop: in a worker, whose requests wait for it, and in the
// supervisor for the trial build. So the bytes are read where they are, once, into what the table
// keeps. The supervisor made them, so they are not validated again; were they damaged all the same,
// nothing is read outside of them.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "net/engine.h"

namespace pointsman {

// `envelope`: an Envelope that holds a Prepare. Sets `error` and answers an empty table when it
// cannot be built: its base is unknown, an endpoint names a deployment that is not there, shares
// make no split, a slot is out of range.
PreparedSnapshot buildSnapshot(Engine& engine, std::string_view envelope, std::string& error);

// `envelope`: one that holds DeploymentAddresses. False, with `update` in any state, for another.
bool readAddresses(std::string_view envelope, DeploymentUpdate& update);

// Changes the live addresses of a deployment. The text of what cannot be used, or empty.
std::string applyAddresses(Engine& engine, std::string_view envelope);

}  // namespace pointsman
