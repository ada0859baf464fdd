// The Engine class of the addon: one per worker, and one in the supervisor for trial builds.
//
// Contract for JS: src/native/contract.ts. The native parts live in EngineCore, which outlives the
// JS object until libuv has closed every handle.
// Thread: that of the env's loop. JS is called from
// loop events only, never from inside a call of JS.
#pragma once

#include <napi.h>
#include <uv.h>

#include <memory>
#include <optional>
#include <string>

#include "binding/shared_block.h"
#include "front/front.h"
#include "net/control_link.h"
#include "net/engine.h"
#include "net/snapshot_builder.h"
#include "net/uv_loop.h"
#include "uws/acceptor.h"
#include "uws/attachment.h"
#include "uws/connector.h"

namespace pointsman {

class EngineBinding;

struct EngineCore final : private Deferred, public ConnectionSink {
  EngineCore(uv_loop_t* uvLoop, std::span<char> readBuffer, std::shared_ptr<SharedMapping> memory,
             uint32_t slot, std::vector<int> wakeFds)
      : shared(std::move(memory)),
        loop(uvLoop),
        engine(std::in_place, loop, Xoshiro256pp::fromSystem(), readBuffer, shared->control(),
               shared->column(slot),
               AdmissionPeers{
                   .columns = shared->limitColumns(), .self = slot, .wakeFds = std::move(wakeFds)},
               shared->columns()),
        tokens(engine->rng().next()) {}

  // Cuts the JS object off at once and shuts down in the next turn of the loop: JS may ask for it
  // inside an event, with the engine's own frames on the stack.
  void shutdownLater() noexcept;
  // Starts the end: everything is closed, `delete` follows when libuv has let go. No frame of the
  // engine or of a watch may be on the stack.
  void shutdown() noexcept;

  // To the front, or to uWebSockets.js itself where there is none.
  bool onAccepted(int fd, const sockaddr_storage& peer) noexcept override;

  // First, because the engine counts in it to its end.
  std::shared_ptr<SharedMapping> shared;
  UvLoop loop;
  std::optional<Engine> engine;
  // Of both doors.
  TokenCache tokens;
  Attachment attachment;
  std::optional<UwsConnector> connector;
  std::optional<Front> front;
  std::optional<Acceptor> acceptor;
  std::optional<ControlLink> control;
  // Borrowed; null once the JS object is gone or closed.
  EngineBinding* owner = nullptr;
  napi_async_cleanup_hook_handle cleanup = nullptr;
  bool closing = false;

 private:
  void onDeferred() noexcept override { shutdown(); }
};

class EngineBinding final : public Napi::ObjectWrap<EngineBinding>,
                            private Door,
                            private FrontHost,
                            private ControlLinkHost {
 public:
  static Napi::Function define(Napi::Env env);
  explicit EngineBinding(const Napi::CallbackInfo& info);
  ~EngineBinding() override;

 private:
  friend struct EngineCore;
  void onAnswer(Exchange& exchange, const AnswerEvent& event) noexcept override;
  void onFailure(Exchange& exchange, Failure failure, bool headRelayed) noexcept override;
  void onRequestDrain(Exchange& exchange) noexcept override;
  void onClaimDoubtful(Exchange& exchange) noexcept override;
  void onUnknownToken(uint32_t connection, uint32_t generation,
                      std::string_view verified) noexcept override;
  void onTokenLaneLost() noexcept override;
  void onClientClosed() noexcept override;
  void onEnvelope(std::string_view envelope) noexcept override;
  void onControlFault(const std::string& problem) noexcept override;
  void onControlLost() noexcept override;
  void callControl(const Napi::FunctionReference& function, napi_value argument) noexcept;
  void finishCall(napi_status done) noexcept;
  void callJs(uint32_t id, uint32_t flags, int status, double contentLength,
              std::string_view fields, std::string_view body) noexcept;

  Napi::Value prepare(const Napi::CallbackInfo& info);
  Napi::Value commit(const Napi::CallbackInfo& info);
  Napi::Value discard(const Napi::CallbackInfo& info);
  Napi::Value openControl(const Napi::CallbackInfo& info);
  Napi::Value sendControl(const Napi::CallbackInfo& info);
  Napi::Value start(const Napi::CallbackInfo& info);
  Napi::Value pickedEntity(const Napi::CallbackInfo& info);
  Napi::Value proceed(const Napi::CallbackInfo& info);
  Napi::Value sendBody(const Napi::CallbackInfo& info);
  Napi::Value pause(const Napi::CallbackInfo& info);
  Napi::Value resume(const Napi::CallbackInfo& info);
  Napi::Value cancel(const Napi::CallbackInfo& info);
  Napi::Value countRefusal(const Napi::CallbackInfo& info);
  Napi::Value beat(const Napi::CallbackInfo& info);
  Napi::Value requestsInFlight(const Napi::CallbackInfo& info);
  Napi::Value attach(const Napi::CallbackInfo& info);
  Napi::Value accept(const Napi::CallbackInfo& info);
  Napi::Value stopAccepting(const Napi::CallbackInfo& info);
  Napi::Value openFront(const Napi::CallbackInfo& info);
  Napi::Value openTokenLane(const Napi::CallbackInfo& info);
  Napi::Value closeTokenLane(const Napi::CallbackInfo& info);
  Napi::Value setTrustVersion(const Napi::CallbackInfo& info);
  Napi::Value admit(const Napi::CallbackInfo& info);
  Napi::Value reject(const Napi::CallbackInfo& info);
  Napi::Value rememberToken(const Napi::CallbackInfo& info);
  Napi::Value proofOf(const Napi::CallbackInfo& info);
  Napi::Value authorizationOf(const Napi::CallbackInfo& info);
  Napi::Value admitVerified(const Napi::CallbackInfo& info);
  Napi::Value drainFront(const Napi::CallbackInfo& info);
  Napi::Value startNothing(const Napi::CallbackInfo& info);
  Napi::Value busyConnections(const Napi::CallbackInfo& info);
  Napi::Value connectionClosed(const Napi::CallbackInfo& info);
  Napi::Value close(const Napi::CallbackInfo& info);

  // False after close, with a JS exception set.
  bool usable(const Napi::CallbackInfo& info) const;
  Exchange* exchangeOf(const Napi::CallbackInfo& info) const;

  EngineCore* core_ = nullptr;
  Napi::FunctionReference onEvent_;
  Napi::FunctionReference onUnknownToken_;
  Napi::FunctionReference onTokenLaneLost_;
  Napi::FunctionReference onEnvelope_;
  Napi::FunctionReference onControlFault_;
  Napi::FunctionReference onControlLost_;
  Napi::AsyncContext asyncContext_;
  // Pin the memory that native code writes into.
  Napi::Reference<Napi::Uint8Array> readBuffer_;
  Napi::Reference<Napi::Float64Array> dispatched_;
  double* dispatchedData_ = nullptr;
  // Reused by every start.
  std::string endpoint_, entity_, method_, query_, fields_, client_, requestId_;
  std::string authorization_, hostId_;
  // Of the last start that picked one.
  std::string pickedEntity_;
};

}  // namespace pointsman
