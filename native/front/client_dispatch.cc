// Where a request of a connection goes: to a replica by the routing table, or to the worker's own
// JS.
#include "front/client_connection.h"
#include "front/front.h"
#include "front/invocation_path.h"
#include "net/request_head.h"
#include "net/routing_table.h"

namespace pointsman {

void ClientConnection::dispatch(std::string_view body, bool last) noexcept {
  const RequestHead head{.method = parser_.method(),
                         .query = parser_.query(),
                         .fields = parser_.fields(),
                         .clientAddress = client_,
                         .requestId = requestId(),
                         .contentLength = parser_.contentLength(),
                         .path = parser_.path(),
                         .host = parser_.host(),
                         .isNative = route_ == Route::kInvocation};
  if (route_ == Route::kInvocation) {
    dispatchInvocation(head, body, last);
    return;
  }
  exchange_ = front_.engine_.createLocalExchange();
  if (exchange_ == nullptr) {
    refuse(Refusal::kOutOfMemory);
    return;
  }
  exchange_->start(*this, front_.local_, front_.localStats_, front_.noLimit_, head, body, last);
}

void ClientConnection::dispatchInvocation(const RequestHead& head, std::string_view body,
                                          bool last) noexcept {
  Engine& engine = front_.engine_;
  InvocationPath path;
  parseInvocationPath(head.path, front_.settings_.workspaceId, path);
  const Engine::Dispatch dispatched =
      engine.dispatch(path.endpoint, path.served, true, callerBy(path));
  revision_ = dispatched.revision;
  const bool isNamed =
      dispatched.target == nullptr || !servedModel_.assign(dispatched.target->name).failed();
  if (dispatched.refusal != Engine::Dispatch::Refusal::kNone) {
    refuse(refusalOf(dispatched.refusal));
    return;
  }
  const Ref<DeploymentSpec>& deployment = dispatched.target->deployment;
  if (deployment->protocol == Protocol::kMlflow && head.method != "POST") {
    refuse(Refusal::kMethodNotAllowed);
    return;
  }
  const EntityTarget& target = *dispatched.target;
  exchange_ = isNamed ? engine.createExchange(dispatched.revision) : nullptr;
  if (exchange_ == nullptr) {
    engine.countUnserved(target, true);
    refuse(Refusal::kOutOfMemory);
    return;
  }
  exchange_->start(*this, deployment, engine.column().entities[target.statsSlot], target.limit,
                   head, body, last);
  if (front_.settings_.authRequired && exchange_->isQueued()) {
    exchange_->setClaim(token_, *dispatched.endpoint);
  }
}

Engine::Caller ClientConnection::callerBy(const InvocationPath& path) const noexcept {
  const std::string_view hostId = endpointIdOfHost(parser_.host(), front_.settings_.servingDomain);
  return {.grant = token_.grant.get(),
          .byRoute = path.hasWorkspace || !hostId.empty(),
          .hostId = hostId};
}

}  // namespace pointsman
