#include "binding/errno.h"

#include <cstring>
#include <string>

namespace pointsman {

Napi::Value throwErrno(Napi::Env env, int error, const char* call) {
  Napi::Error thrown = Napi::Error::New(env, std::string(call) + ": " + std::strerror(error));
  thrown.Set("code", Napi::String::New(env, strerrorname_np(error)));
  thrown.Set("syscall", Napi::String::New(env, call));
  thrown.ThrowAsJavaScriptException();
  return {};
}

}  // namespace pointsman
