// Descriptors that the supervisor owns: listening sockets and the lock of the state directory.
#pragma once

#include <napi.h>

namespace pointsman {

// Adds listenTcp, portOf, lockFile and closeDescriptor to the addon's exports.
void defineSockets(Napi::Env env, Napi::Object exports);

}  // namespace pointsman
