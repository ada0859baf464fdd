// The addon: what src/native loads. Every environment has its own objects; there is no mutable
// static.
#include <napi.h>

#include "binding/addon_data.h"
#include "binding/core_dumps.h"
#include "binding/descriptors.h"
#include "binding/engine_binding.h"
#include "binding/heap.h"
#include "binding/processes.h"
#include "binding/scheduling.h"
#include "binding/shared_block.h"
#include "binding/sockets.h"
#include "core/latency_histogram.h"

namespace {

// Numbers that TypeScript has too; src/native compares them at load and refuses a mismatch.
Napi::Object constants(Napi::Env env) {
  Napi::Object result = Napi::Object::New(env);
  result.Set("readBufferBytes", static_cast<double>(pointsman::kReadBufferBytes));
  result.Set("requestBufferBytesMax", static_cast<double>(pointsman::kRequestBufferBytesMax));
  Napi::Array buckets = Napi::Array::New(env);
  for (const uint32_t bound : pointsman::kLatencyBucketsMs) buckets.Set(buckets.Length(), bound);
  result.Set("latencyBucketsMs", buckets);
  return result;
}

Napi::Object initialize(Napi::Env env, Napi::Object exports) {
  env.SetInstanceData(new pointsman::AddonData());  // NOLINT: the environment owns it
  exports.Set("Engine", pointsman::EngineBinding::define(env));
  exports.Set("constants", constants(env));
  pointsman::defineSharedBlock(env, exports);
  pointsman::defineDescriptors(env, exports);
  pointsman::defineSockets(env, exports);
  pointsman::defineProcesses(env, exports);
  pointsman::defineScheduling(env, exports);
  pointsman::defineCoreDumps(env, exports);
  pointsman::defineHeap(env, exports);
  return exports;
}

}  // namespace

NODE_API_MODULE(pointsman, initialize)  // NOLINT: the macro of Node-API
