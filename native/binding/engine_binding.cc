#include "binding/engine_binding.h"

#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cstring>

#include "binding/external.h"
#include "binding/front_input.h"
#include "binding/js.h"

namespace pointsman {

namespace {

void cleanupHook(napi_async_cleanup_hook_handle handle, void* argument) {
  auto* core = static_cast<EngineCore*>(argument);
  core->cleanup = handle;
  core->shutdown();
}

}  // namespace

void EngineCore::shutdownLater() noexcept {
  if (owner != nullptr) owner->core_ = nullptr;
  owner = nullptr;
  // Answers under way are broken off without a word to anybody.
  control.reset();
  acceptor.reset();
  front.reset();
  engine->cancelAll();
  loop.defer(this);
}

void EngineCore::shutdown() noexcept {
  if (closing) return;
  closing = true;
  loop.undefer(this);
  if (owner != nullptr) owner->core_ = nullptr;
  control.reset();
  acceptor.reset();
  front.reset();
  engine.reset();
  loop.close(
      [](void* argument) {
        auto* core = static_cast<EngineCore*>(argument);
        if (core->cleanup != nullptr) napi_remove_async_cleanup_hook(core->cleanup);
        delete core;  // NOLINT: the constructor of EngineBinding made it
      },
      this);
}

bool EngineCore::onAccepted(int fd, const sockaddr_storage& peer) noexcept {
  if (front) return front->open(fd, peer);
  const auto* v4 = reinterpret_cast<const sockaddr_in*>(&peer);   // NOLINT: the API's own idiom
  const auto* v6 = reinterpret_cast<const sockaddr_in6*>(&peer);  // NOLINT: as above
  std::array<char, sizeof v6->sin6_addr> address{};
  const bool isV6 = peer.ss_family == AF_INET6;
  const size_t bytes = isV6 ? sizeof v6->sin6_addr : sizeof v4->sin_addr;
  const void* from = isV6 ? static_cast<const void*>(&v6->sin6_addr) : &v4->sin_addr;
  std::memcpy(address.data(), from, bytes);
  if (attachment.adopt(fd, address.data(), bytes)) return true;
  ::close(fd);
  return false;
}

Napi::Function EngineBinding::define(Napi::Env env) {
  return DefineClass(env, "Engine",
                     {InstanceMethod<&EngineBinding::prepare>("prepare"),
                      InstanceMethod<&EngineBinding::commit>("commit"),
                      InstanceMethod<&EngineBinding::discard>("discard"),
                      InstanceMethod<&EngineBinding::openControl>("openControl"),
                      InstanceMethod<&EngineBinding::sendControl>("sendControl"),
                      InstanceMethod<&EngineBinding::start>("start"),
                      InstanceMethod<&EngineBinding::pickedEntity>("pickedEntity"),
                      InstanceMethod<&EngineBinding::proceed>("proceed"),
                      InstanceMethod<&EngineBinding::sendBody>("sendBody"),
                      InstanceMethod<&EngineBinding::pause>("pause"),
                      InstanceMethod<&EngineBinding::resume>("resume"),
                      InstanceMethod<&EngineBinding::cancel>("cancel"),
                      InstanceMethod<&EngineBinding::countRefusal>("countRefusal"),
                      InstanceMethod<&EngineBinding::beat>("beat"),
                      InstanceMethod<&EngineBinding::requestsInFlight>("requestsInFlight"),
                      InstanceMethod<&EngineBinding::attach>("attach"),
                      InstanceMethod<&EngineBinding::accept>("accept"),
                      InstanceMethod<&EngineBinding::stopAccepting>("stopAccepting"),
                      InstanceMethod<&EngineBinding::openFront>("openFront"),
                      InstanceMethod<&EngineBinding::openTokenLane>("openTokenLane"),
                      InstanceMethod<&EngineBinding::closeTokenLane>("closeTokenLane"),
                      InstanceMethod<&EngineBinding::setTrustVersion>("setTrustVersion"),
                      InstanceMethod<&EngineBinding::admit>("admit"),
                      InstanceMethod<&EngineBinding::reject>("reject"),
                      InstanceMethod<&EngineBinding::rememberToken>("rememberToken"),
                      InstanceMethod<&EngineBinding::proofOf>("proofOf"),
                      InstanceMethod<&EngineBinding::authorizationOf>("authorizationOf"),
                      InstanceMethod<&EngineBinding::admitVerified>("admitVerified"),
                      InstanceMethod<&EngineBinding::drainFront>("drainFront"),
                      InstanceMethod<&EngineBinding::startNothing>("startNothing"),
                      InstanceMethod<&EngineBinding::busyConnections>("busyConnections"),
                      InstanceMethod<&EngineBinding::connectionClosed>("connectionClosed"),
                      InstanceMethod<&EngineBinding::close>("close")});
}

// new Engine(onEvent, readBuffer, dispatched, block, slot, wakeDescriptors)
EngineBinding::EngineBinding(const Napi::CallbackInfo& info)
    : Napi::ObjectWrap<EngineBinding>(info), asyncContext_(info.Env(), "pointsman") {
  const Napi::Env env = info.Env();
  std::shared_ptr<SharedMapping> shared = sharedMappingOf(info[3]);
  if (!info[0].IsFunction() || !info[1].IsTypedArray() || !info[2].IsTypedArray() ||
      shared == nullptr || !info[4].IsNumber() || !info[5].IsArray()) {
    Napi::TypeError::New(
        env, "Engine needs (onEvent, readBuffer, dispatched, block, slot, wakeDescriptors)")
        .ThrowAsJavaScriptException();
    return;
  }
  const uint32_t slot = info[4].As<Napi::Number>().Uint32Value();
  auto readBuffer = info[1].As<Napi::Uint8Array>();
  auto dispatched = info[2].As<Napi::Float64Array>();
  std::vector<int> wakeFds = js::integers(info[5].As<Napi::Array>());
  if (readBuffer.ByteLength() != kReadBufferBytes || dispatched.ElementLength() != 1 ||
      slot >= shared->workers() || (!wakeFds.empty() && wakeFds.size() != shared->workers())) {
    Napi::RangeError::New(env, "Engine got a buffer of the wrong size or no column")
        .ThrowAsJavaScriptException();
    return;
  }
  onEvent_ = Napi::Persistent(info[0].As<Napi::Function>());
  readBuffer_ = Napi::Persistent(readBuffer);
  dispatched_ = Napi::Persistent(dispatched);
  dispatchedData_ = dispatched.Data();
  uv_loop_t* loop = nullptr;
  napi_get_uv_event_loop(env, &loop);
  auto* memory = reinterpret_cast<char*>(readBuffer.Data());  // NOLINT: bytes
  // NOLINTNEXTLINE: deletes itself, see shutdown
  core_ = new EngineCore(loop, {memory, kReadBufferBytes}, std::move(shared), slot,
                         std::move(wakeFds));  // NOLINT: as above
  core_->owner = this;
  napi_add_async_cleanup_hook(env, cleanupHook, core_, &core_->cleanup);
  if (core_->engine->admission().isWakeable()) return;
  Napi::Error::New(env, "the wake descriptor cannot be watched").ThrowAsJavaScriptException();
}

EngineBinding::~EngineBinding() {
  if (core_ == nullptr) return;
  core_->shutdownLater();
}

bool EngineBinding::usable(const Napi::CallbackInfo& info) const {
  if (core_ != nullptr) return true;
  Napi::Error::New(info.Env(), "the engine is closed").ThrowAsJavaScriptException();
  return false;
}

Exchange* EngineBinding::exchangeOf(const Napi::CallbackInfo& info) const {
  if (core_ == nullptr || info.Length() < 1 || !info[0].IsNumber()) return nullptr;
  return core_->engine->exchange(info[0].As<Napi::Number>().Uint32Value());
}

// prepare(envelope)
Napi::Value EngineBinding::prepare(const Napi::CallbackInfo& info) {
  if (!usable(info)) return {};
  std::string error;
  PreparedSnapshot built = buildSnapshot(*core_->engine, js::bytes(info[0]), error);
  if (error.empty()) {
    core_->engine->prepare(std::move(built));
  } else {
    Napi::Error::New(info.Env(), error).ThrowAsJavaScriptException();
  }
  return info.Env().Undefined();
}

Napi::Value EngineBinding::commit(const Napi::CallbackInfo& info) {
  if (!usable(info)) return {};
  core_->engine->settle();
  return info.Env().Undefined();
}

Napi::Value EngineBinding::discard(const Napi::CallbackInfo& info) {
  if (!usable(info)) return {};
  core_->engine->discard(static_cast<uint64_t>(info[0].As<Napi::Number>().Int64Value()));
  core_->engine->settle();
  return info.Env().Undefined();
}

Napi::Value EngineBinding::attach(const Napi::CallbackInfo& info) {
  if (!usable(info)) return {};
  void* listenSocket = externalAddress(info[0]);
  if (listenSocket == nullptr) {
    return Napi::String::New(info.Env(), "uWebSockets.js gave no listen socket");
  }
  const std::string path = info[1].As<Napi::String>().Utf8Value();
  return Napi::String::New(info.Env(), core_->attachment.attach(listenSocket, path.c_str()));
}

Napi::Value EngineBinding::accept(const Napi::CallbackInfo& info) {
  if (!usable(info)) return {};
  const int fd = info[0].As<Napi::Number>().Int32Value();
  const uint32_t connectionsMax = info[1].As<Napi::Number>().Uint32Value();
  const bool possible = core_->front.has_value() || core_->attachment.attached();
  if (possible && !core_->acceptor) {
    core_->acceptor.emplace(core_->loop, core_->engine->wheel(), *core_,
                            core_->engine->column().header);
  }
  if (!possible || !core_->acceptor->start(fd, connectionsMax)) {
    Napi::Error::New(info.Env(), "cannot accept from descriptor " + std::to_string(fd))
        .ThrowAsJavaScriptException();
  }
  return info.Env().Undefined();
}

// openFront(settings, onUnknownToken)
Napi::Value EngineBinding::openFront(const Napi::CallbackInfo& info) {
  if (!usable(info)) return {};
  const Napi::Env env = info.Env();
  const bool isPossible = core_->attachment.attached() && !core_->front;
  if (!isPossible || !info[0].IsObject() || !info[1].IsFunction()) {
    Napi::Error::New(env, "openFront(settings, onUnknownToken) needs an attached engine")
        .ThrowAsJavaScriptException();
    return {};
  }
  const Napi::Object settings = info[0].As<Napi::Object>();
  if (js::array(settings, "refusals").Length() != kRefusals) {
    Napi::Error::New(env, "openFront got another number of refusals").ThrowAsJavaScriptException();
    return {};
  }
  onUnknownToken_ = Napi::Persistent(info[1].As<Napi::Function>());
  core_->connector.emplace(core_->attachment);
  FrontHost& host = *this;
  core_->front.emplace(*core_->engine, *core_->connector, host, core_->tokens,
                       readFrontSettings(settings));
  return env.Undefined();
}

// openTokenLane(onLost)
Napi::Value EngineBinding::openTokenLane(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  std::array<int, 2> ends{-1, -1};
  if (core_ == nullptr || !core_->front || !info[0].IsFunction() ||
      socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends.data()) != 0) {
    return Napi::Number::New(env, -1);
  }
  onTokenLaneLost_ = Napi::Persistent(info[0].As<Napi::Function>());
  if (core_->front->openTokenLane(ends[0])) return Napi::Number::New(env, ends[1]);
  ::close(ends[1]);
  return Napi::Number::New(env, -1);
}

Napi::Value EngineBinding::closeTokenLane(const Napi::CallbackInfo& info) {
  if (core_ != nullptr && core_->front) core_->front->closeTokenLane();
  return info.Env().Undefined();
}

Napi::Value EngineBinding::setTrustVersion(const Napi::CallbackInfo& info) {
  if (core_ != nullptr && core_->front) {
    core_->front->setTrustVersion(info[0].As<Napi::Number>().Uint32Value());
  }
  return info.Env().Undefined();
}

Napi::Value EngineBinding::admit(const Napi::CallbackInfo& info) {
  if (core_ != nullptr && core_->front) {
    core_->front->admit(info[0].As<Napi::Number>().Uint32Value(),
                        info[1].As<Napi::Number>().Uint32Value());
  }
  return info.Env().Undefined();
}

Napi::Value EngineBinding::reject(const Napi::CallbackInfo& info) {
  const uint32_t refusal = info[2].As<Napi::Number>().Uint32Value();
  if (core_ != nullptr && core_->front && refusal < kRefusals) {
    core_->front->reject(info[0].As<Napi::Number>().Uint32Value(),
                         info[1].As<Napi::Number>().Uint32Value(), static_cast<Refusal>(refusal));
  }
  return info.Env().Undefined();
}

// rememberToken(authorization, epoch, expiresAtMs, terms, verifiedJson, trustVersion)
Napi::Value EngineBinding::rememberToken(const Napi::CallbackInfo& info) {
  if (core_ == nullptr || !info[3].IsObject()) return info.Env().Undefined();
  std::string value;
  js::latin1(info.Env(), info[0], value);
  core_->tokens.insert(value, static_cast<uint64_t>(info[1].As<Napi::Number>().Int64Value()),
                       static_cast<uint64_t>(info[2].As<Napi::Number>().Int64Value()),
                       makeRef<TokenGrant>(readTerms(info[3].As<Napi::Object>())),
                       readProof(info[4], info[5]));
  return info.Env().Undefined();
}

// proofOf(authorization, trustVersion)
Napi::Value EngineBinding::proofOf(const Napi::CallbackInfo& info) {
  std::string value;
  std::string_view proof;
  if (core_ != nullptr) {
    js::latin1(info.Env(), info[0], value);
    proof = core_->tokens.proofOf(value, info[1].As<Napi::Number>().Uint32Value());
  }
  napi_value text = nullptr;
  napi_create_string_utf8(info.Env(), proof.data(), proof.size(), &text);
  return {info.Env(), text};
}

Napi::Value EngineBinding::authorizationOf(const Napi::CallbackInfo& info) {
  std::string_view value;
  if (core_ != nullptr && core_->front) {
    value = core_->front->authorizationOf(info[0].As<Napi::Number>().Uint32Value(),
                                          info[1].As<Napi::Number>().Uint32Value());
  }
  napi_value text = nullptr;
  napi_create_string_latin1(info.Env(), value.data(), value.size(), &text);
  return {info.Env(), text};
}

// admitVerified(connection, generation, epoch, expiresAtMs, terms, verifiedJson, trustVersion)
Napi::Value EngineBinding::admitVerified(const Napi::CallbackInfo& info) {
  if (core_ == nullptr || !core_->front || !info[4].IsObject()) return info.Env().Undefined();
  core_->front->admitVerified(
      info[0].As<Napi::Number>().Uint32Value(), info[1].As<Napi::Number>().Uint32Value(),
      {.grant = makeRef<TokenGrant>(readTerms(info[4].As<Napi::Object>())),
       .epoch = static_cast<uint64_t>(info[2].As<Napi::Number>().Int64Value()),
       .expiresAtMs = static_cast<uint64_t>(info[3].As<Napi::Number>().Int64Value())},
      readProof(info[5], info[6]));
  return info.Env().Undefined();
}

Napi::Value EngineBinding::drainFront(const Napi::CallbackInfo& info) {
  if (core_ != nullptr && core_->front) core_->front->drain();
  return info.Env().Undefined();
}

Napi::Value EngineBinding::startNothing(const Napi::CallbackInfo& info) {
  if (core_ != nullptr) core_->engine->startNothing();
  return info.Env().Undefined();
}

Napi::Value EngineBinding::busyConnections(const Napi::CallbackInfo& info) {
  const bool has = core_ != nullptr && core_->front;
  return Napi::Number::New(info.Env(), has ? core_->front->busyConnections() : 0);
}

Napi::Value EngineBinding::stopAccepting(const Napi::CallbackInfo& info) {
  if (core_ == nullptr || !core_->acceptor) return info.Env().Undefined();
  if (info[0].As<Napi::Boolean>().Value()) core_->acceptor->takeWaiting();
  core_->acceptor->stop();
  return info.Env().Undefined();
}

Napi::Value EngineBinding::connectionClosed(const Napi::CallbackInfo& info) {
  if (core_ != nullptr && core_->acceptor) core_->acceptor->onConnectionClosed();
  return info.Env().Undefined();
}

Napi::Value EngineBinding::close(const Napi::CallbackInfo& info) {
  if (core_ != nullptr) core_->shutdownLater();
  return info.Env().Undefined();
}

Napi::Value EngineBinding::countRefusal(const Napi::CallbackInfo& info) {
  const uint32_t code = info[0].As<Napi::Number>().Uint32Value();
  if (core_ != nullptr && code < kRefusalsMax) core_->engine->column().header.refusals[code]++;
  return info.Env().Undefined();
}

Napi::Value EngineBinding::beat(const Napi::CallbackInfo& info) {
  if (core_ != nullptr) {
    core_->engine->column().header.heartbeat.fetch_add(1, std::memory_order_relaxed);
    core_->engine->settleIfMoved();
  }
  return info.Env().Undefined();
}

Napi::Value EngineBinding::requestsInFlight(const Napi::CallbackInfo& info) {
  const uint32_t live = core_ == nullptr ? 0 : core_->engine->column().header.exchangesLive;
  return Napi::Number::New(info.Env(), live);
}

// onUnknownToken(connection, generation, verifiedJson)
void EngineBinding::onUnknownToken(uint32_t connection, uint32_t generation,
                                   std::string_view verified) noexcept {
  const Napi::Env env = Env();
  const Napi::HandleScope scope(env);
  napi_value arguments[3] = {};
  napi_create_uint32(env, connection, &arguments[0]);
  napi_create_uint32(env, generation, &arguments[1]);
  napi_create_string_utf8(env, verified.data(), verified.size(), &arguments[2]);
  napi_value receiver = nullptr;
  napi_get_global(env, &receiver);
  finishCall(napi_make_callback(env, asyncContext_, receiver, onUnknownToken_.Value(), 3, arguments,
                                nullptr));
}

void EngineBinding::onTokenLaneLost() noexcept {
  const Napi::Env env = Env();
  const Napi::HandleScope scope(env);
  napi_value receiver = nullptr;
  napi_get_global(env, &receiver);
  finishCall(napi_make_callback(env, asyncContext_, receiver, onTokenLaneLost_.Value(), 0, nullptr,
                                nullptr));
}

void EngineBinding::onClientClosed() noexcept {
  if (core_ != nullptr && core_->acceptor) core_->acceptor->onConnectionClosed();
}

void EngineBinding::finishCall(napi_status done) noexcept {
  const Napi::Env env = Env();
  if (done != napi_pending_exception) return;
  // The handler must not throw; if it does, the process learns of it as of any uncaught exception.
  napi_value exception = nullptr;
  napi_get_and_clear_last_exception(env, &exception);
  napi_fatal_exception(env, exception);
}

}  // namespace pointsman
