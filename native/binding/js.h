// Small conversions between JS values and C++; none of them throws, absent or wrong values give
// defaults. The caller has validated: these only keep memory safe.
#pragma once

#include <napi.h>

#include <string>
#include <string_view>
#include <vector>

namespace pointsman::js {

// Appends the latin1 bytes of a string value to `out` (cleared first).
inline void latin1(napi_env env, napi_value value, std::string& out) {
  size_t length = 0;
  out.clear();
  if (napi_get_value_string_latin1(env, value, nullptr, 0, &length) != napi_ok) return;
  out.resize(length);
  napi_get_value_string_latin1(env, value, out.data(), length + 1, &length);
}

// A view into an ArrayBuffer or a Uint8Array; empty for anything else.
inline std::string_view bytes(const Napi::Value& value) {
  if (value.IsArrayBuffer()) {
    auto buffer = value.As<Napi::ArrayBuffer>();
    return {static_cast<const char*>(buffer.Data()), buffer.ByteLength()};
  }
  if (value.IsTypedArray()) {
    auto view = value.As<Napi::Uint8Array>();
    return {reinterpret_cast<const char*>(view.Data()), view.ByteLength()};  // NOLINT: bytes
  }
  return {};
}

inline std::string string(const Napi::Object& object, const char* key) {
  const Napi::Value value = object.Get(key);
  return value.IsString() ? value.As<Napi::String>().Utf8Value() : std::string();
}

inline uint32_t uint32(const Napi::Object& object, const char* key) {
  const Napi::Value value = object.Get(key);
  return value.IsNumber() ? value.As<Napi::Number>().Uint32Value() : 0;
}

inline uint64_t uint64(const Napi::Object& object, const char* key) {
  const Napi::Value value = object.Get(key);
  return value.IsNumber() ? static_cast<uint64_t>(value.As<Napi::Number>().Int64Value()) : 0;
}

inline bool boolean(const Napi::Object& object, const char* key) {
  const Napi::Value value = object.Get(key);
  return value.IsBoolean() && value.As<Napi::Boolean>().Value();
}

inline Napi::Array array(const Napi::Object& object, const char* key) {
  const Napi::Value value = object.Get(key);
  return value.IsArray() ? value.As<Napi::Array>() : Napi::Array::New(object.Env());
}

// Elements that are no numbers become 0.
inline std::vector<int> integers(const Napi::Array& list) {
  std::vector<int> result;
  for (uint32_t index = 0; index < list.Length(); index++) {
    const Napi::Value value = list.Get(index);
    result.push_back(value.IsNumber() ? value.As<Napi::Number>().Int32Value() : 0);
  }
  return result;
}

}  // namespace pointsman::js
