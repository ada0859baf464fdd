// Descriptors handed from one process to another over a Unix socket (SCM_RIGHTS): how a worker that
// outlived its supervisor gives the listening sockets to the next one.
#pragma once

#include <napi.h>

namespace pointsman {

// Adds listenForDescriptors, receiveDescriptors and sendDescriptors to the exports.
void defineDescriptors(Napi::Env env, Napi::Object exports);

}  // namespace pointsman
