#include "binding/external.h"

#include <v8.h>

#include <cstring>

namespace pointsman {

void* externalAddress(const Napi::Value& value) noexcept {
  // A napi_value is a v8::Local: Node-API is defined that way in every Node version
  // (js_native_api_v8.h).
  const napi_value raw = value;
  v8::Local<v8::Value> local;
  static_assert(sizeof local == sizeof raw);
  std::memcpy(static_cast<void*>(&local), &raw, sizeof local);
  if (local.IsEmpty() || !local->IsExternal()) return nullptr;
  return local.As<v8::External>()->Value();
}

}  // namespace pointsman
