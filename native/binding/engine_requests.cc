// The JS door's part of the Engine class: requests that JS starts, and what it hears of them.
#include "binding/engine_binding.h"
#include "binding/js.h"
#include "net/wall_clock.h"

namespace pointsman {

namespace {

// Flags of an event, same in src/native/contract.ts.
constexpr uint32_t kEventHead = 1;
constexpr uint32_t kEventEnd = 2;
constexpr uint32_t kEventFailed = 4;
constexpr uint32_t kEventDrain = 8;
constexpr uint32_t kEventNoBody = 16;
constexpr uint32_t kEventHeadRelayed = 32;
constexpr uint32_t kEventDoubt = 64;

// Negative answers of `start`, same in src/native/contract.ts.
constexpr int kNoSnapshot = -1;
constexpr int kNoEndpoint = -2;
constexpr int kNoEntity = -3;
constexpr int kNoDeployment = -4;
constexpr int kMethodNotAllowed = -5;
constexpr int kUnknownToken = -6;
constexpr int kForbidden = -7;
constexpr int kRouteToken = -8;
constexpr int kOutOfMemory = -9;
constexpr int kTakenOver = -10;

int numberOf(Engine::Dispatch::Refusal refusal) noexcept {
  switch (refusal) {
    case Engine::Dispatch::Refusal::kNone:
      return 0;
    case Engine::Dispatch::Refusal::kNoSnapshot:
      return kNoSnapshot;
    case Engine::Dispatch::Refusal::kNoEndpoint:
      return kNoEndpoint;
    case Engine::Dispatch::Refusal::kNoEntity:
      return kNoEntity;
    case Engine::Dispatch::Refusal::kNoDeployment:
      return kNoDeployment;
    case Engine::Dispatch::Refusal::kForbidden:
      return kForbidden;
    case Engine::Dispatch::Refusal::kRouteToken:
      return kRouteToken;
    case Engine::Dispatch::Refusal::kTakenOver:
      return kTakenOver;
  }
  return kNoSnapshot;
}

}  // namespace

// start(endpoint, entity, method, query, fields, client, requestId, contentLength, body, last,
//       authorization, byRoute, hostId)
Napi::Value EngineBinding::start(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  if (!usable(info)) return {};
  Engine& engine = *core_->engine;
  js::latin1(env, info[0], endpoint_);
  js::latin1(env, info[1], entity_);
  Engine::Caller caller{.byRoute = info[11].ToBoolean().Value()};
  const JudgedToken* token = nullptr;
  if (info[10].IsString()) {
    js::latin1(env, info[10], authorization_);
    token = core_->tokens.find(authorization_, engine.authEpoch(), unixMs);
    if (token == nullptr) return Napi::Number::New(env, kUnknownToken);
    caller.grant = token->grant.get();
  }
  js::latin1(env, info[12], hostId_);
  caller.hostId = hostId_;
  // The moment of dispatch: what is read here holds for the request to its end.
  const Engine::Dispatch dispatched = engine.dispatch(endpoint_, entity_, false, caller);
  dispatchedData_[0] = static_cast<double>(dispatched.revision);
  if (dispatched.target != nullptr) pickedEntity_ = dispatched.target->name;
  if (dispatched.refusal != Engine::Dispatch::Refusal::kNone) {
    return Napi::Number::New(env, numberOf(dispatched.refusal));
  }
  const EntityTarget& target = *dispatched.target;
  js::latin1(env, info[2], method_);
  if (target.deployment->protocol == Protocol::kMlflow && method_ != "POST") {
    return Napi::Number::New(env, kMethodNotAllowed);
  }
  js::latin1(env, info[3], query_);
  js::latin1(env, info[4], fields_);
  js::latin1(env, info[5], client_);
  js::latin1(env, info[6], requestId_);
  const RequestHead head{.method = method_,
                         .query = query_,
                         .fields = fields_,
                         .clientAddress = client_,
                         .requestId = requestId_,
                         .contentLength = info[7].As<Napi::Number>().Int64Value()};
  Exchange* exchange = engine.createExchange(dispatched.revision);
  if (exchange == nullptr) {
    engine.countUnserved(target, false);
    return Napi::Number::New(env, kOutOfMemory);
  }
  EntityStats& stats = engine.column().entities[target.statsSlot];
  exchange->start(*this, target.deployment, stats, target.limit, head, js::bytes(info[8]),
                  info[9].As<Napi::Boolean>().Value());
  if (token != nullptr && exchange->isQueued()) {
    exchange->setClaim(*token, *dispatched.endpoint);
  }
  return Napi::Number::New(env, exchange->id());
}

// pickedEntity()
Napi::Value EngineBinding::pickedEntity(const Napi::CallbackInfo& info) {
  return Napi::String::New(info.Env(), pickedEntity_);
}

// proceed(id, endpoint, authorization, byRoute, hostId)
Napi::Value EngineBinding::proceed(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  Exchange* exchange = exchangeOf(info);
  if (exchange == nullptr || !exchange->claim()) return Napi::Number::New(env, 0);
  Engine& engine = *core_->engine;
  js::latin1(env, info[1], endpoint_);
  js::latin1(env, info[2], authorization_);
  js::latin1(env, info[4], hostId_);
  const JudgedToken* token = core_->tokens.find(authorization_, engine.authEpoch(), unixMs);
  if (token == nullptr) return Napi::Number::New(env, kUnknownToken);
  const Engine::Dispatch::Refusal refusal = engine.judgeAgain(
      *exchange->claim()->endpoint, endpoint_,
      {.grant = token->grant.get(), .byRoute = info[3].ToBoolean().Value(), .hostId = hostId_});
  if (refusal == Engine::Dispatch::Refusal::kNone) exchange->proceed();
  return Napi::Number::New(env, numberOf(refusal));
}

Napi::Value EngineBinding::sendBody(const Napi::CallbackInfo& info) {
  Exchange* exchange = exchangeOf(info);
  size_t waiting = 0;
  if (exchange != nullptr) {
    waiting = exchange->sendBody(js::bytes(info[1]), info[2].As<Napi::Boolean>().Value());
  }
  return Napi::Number::New(info.Env(), static_cast<double>(waiting));
}

Napi::Value EngineBinding::pause(const Napi::CallbackInfo& info) {
  if (Exchange* exchange = exchangeOf(info)) exchange->pauseAnswer();
  return info.Env().Undefined();
}

Napi::Value EngineBinding::resume(const Napi::CallbackInfo& info) {
  if (Exchange* exchange = exchangeOf(info)) exchange->resumeAnswer();
  return info.Env().Undefined();
}

Napi::Value EngineBinding::cancel(const Napi::CallbackInfo& info) {
  if (Exchange* exchange = exchangeOf(info)) exchange->cancel();
  return info.Env().Undefined();
}

void EngineBinding::onAnswer(Exchange& exchange, const AnswerEvent& event) noexcept {
  const uint32_t flags = (event.hasHead ? kEventHead : 0) | (event.end ? kEventEnd : 0) |
                         (event.bodyAllowed ? 0 : kEventNoBody);
  callJs(exchange.id(), flags, event.status, static_cast<double>(event.contentLength), event.fields,
         event.body);
}

void EngineBinding::onFailure(Exchange& exchange, Failure failure, bool headRelayed) noexcept {
  const uint32_t flags = kEventFailed | (headRelayed ? kEventHeadRelayed : 0);
  callJs(exchange.id(), flags, static_cast<int>(failure), 0, {}, {});
}

void EngineBinding::onRequestDrain(Exchange& exchange) noexcept {
  callJs(exchange.id(), kEventDrain, 0, 0, {}, {});
}

void EngineBinding::onClaimDoubtful(Exchange& exchange) noexcept {
  callJs(exchange.id(), kEventDoubt, 0, 0, {}, {});
}

// onEvent(id, flags, status, contentLength, fields, bodyOffset, bodyBytes)
void EngineBinding::callJs(uint32_t id, uint32_t flags, int status, double contentLength,
                           std::string_view fields, std::string_view body) noexcept {
  const Napi::Env env = Env();
  const Napi::HandleScope scope(env);
  napi_value arguments[7] = {};
  const size_t offset =
      body.empty() ? 0 : static_cast<size_t>(body.data() - core_->engine->readBuffer().data());
  napi_create_uint32(env, id, &arguments[0]);
  napi_create_uint32(env, flags, &arguments[1]);
  napi_create_int32(env, status, &arguments[2]);
  napi_create_double(env, contentLength, &arguments[3]);
  napi_create_string_latin1(env, fields.data() == nullptr ? "" : fields.data(), fields.size(),
                            &arguments[4]);
  napi_create_uint32(env, static_cast<uint32_t>(offset), &arguments[5]);
  napi_create_uint32(env, static_cast<uint32_t>(body.size()), &arguments[6]);
  napi_value receiver = nullptr;
  napi_get_global(env, &receiver);
  finishCall(
      napi_make_callback(env, asyncContext_, receiver, onEvent_.Value(), 7, arguments, nullptr));
}

}  // namespace pointsman
