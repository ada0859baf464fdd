// The part of the Engine class that joins it with the supervisor.
#include "binding/engine_binding.h"
#include "binding/js.h"

namespace pointsman {

// openControl(path, onEnvelope, onFault, onLost)
Napi::Value EngineBinding::openControl(const Napi::CallbackInfo& info) {
  if (!usable(info)) return {};
  const Napi::Env env = info.Env();
  if (!info[0].IsString() || !info[1].IsFunction() || !info[2].IsFunction() ||
      !info[3].IsFunction()) {
    Napi::TypeError::New(env, "openControl needs (path, onEnvelope, onFault, onLost)")
        .ThrowAsJavaScriptException();
    return {};
  }
  onEnvelope_ = Napi::Persistent(info[1].As<Napi::Function>());
  onControlFault_ = Napi::Persistent(info[2].As<Napi::Function>());
  onControlLost_ = Napi::Persistent(info[3].As<Napi::Function>());
  if (!core_->control) {
    ControlLinkHost& host = *this;
    core_->control.emplace(*core_->engine, host);
  }
  return Napi::Boolean::New(env, core_->control->open(info[0].As<Napi::String>().Utf8Value()));
}

// sendControl(frame)
Napi::Value EngineBinding::sendControl(const Napi::CallbackInfo& info) {
  if (core_ != nullptr && core_->control) core_->control->send(js::bytes(info[0]));
  return info.Env().Undefined();
}

void EngineBinding::onEnvelope(std::string_view envelope) noexcept {
  const Napi::HandleScope scope(Env());
  callControl(onEnvelope_, Napi::Buffer<char>::Copy(Env(), envelope.data(), envelope.size()));
}

void EngineBinding::onControlFault(const std::string& problem) noexcept {
  const Napi::HandleScope scope(Env());
  callControl(onControlFault_, Napi::String::New(Env(), problem));
}

void EngineBinding::onControlLost() noexcept {
  const Napi::HandleScope scope(Env());
  callControl(onControlLost_, Env().Undefined());
}

void EngineBinding::callControl(const Napi::FunctionReference& function,
                                napi_value argument) noexcept {
  napi_value receiver = nullptr;
  napi_get_global(Env(), &receiver);
  finishCall(
      napi_make_callback(Env(), asyncContext_, receiver, function.Value(), 1, &argument, nullptr));
}

}  // namespace pointsman
