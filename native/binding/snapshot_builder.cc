#include "binding/snapshot_builder.h"

#include "binding/js.h"

namespace pointsman {

namespace {

Ref<DeploymentSpec> readDeployment(Engine& engine, const Napi::Object& input) {
  auto spec = makeRef<DeploymentSpec>();
  spec->name = js::string(input, "name");
  spec->protocol = js::uint32(input, "protocol") == 1 ? Protocol::kRaw : Protocol::kMlflow;
  const Napi::Array headers = js::array(input, "headers");
  for (uint32_t index = 0; index < headers.Length(); index++) {
    const Napi::Object field = headers.Get(index).As<Napi::Object>();
    spec->headerLines.append(js::string(field, "name")).append(": ");
    spec->headerLines.append(js::string(field, "value")).append("\r\n");
  }
  spec->connectMs = js::uint32(input, "connectMs");
  spec->responseHeaderMs = js::uint32(input, "responseHeaderMs");
  spec->bodyIdleMs = js::uint32(input, "bodyIdleMs");
  spec->totalMs = js::uint32(input, "totalMs");
  spec->keepaliveIdleMs = js::uint32(input, "keepaliveIdleMs");
  spec->replaySafe = js::boolean(input, "replaySafe");
  spec->addresses = engine.addressSet(spec->name, spec->protocol);
  return spec;
}

std::string addEndpoint(Engine& engine, RoutingTable& table, const Napi::Object& input) {
  const std::string name = js::string(input, "name");
  const Napi::Array list = js::array(input, "entities");
  std::vector<EntityTarget> entities;
  std::vector<uint32_t> shares;
  for (uint32_t index = 0; index < list.Length(); index++) {
    const Napi::Object entity = list.Get(index).As<Napi::Object>();
    const std::string entityName = js::string(entity, "name");
    const std::string deployment = js::string(entity, "deployment");
    Ref<DeploymentSpec> spec = table.deployment(deployment);
    if (!spec && !deployment.empty()) {
      return "endpoint " + name + ": deployment " + deployment + " is not in the snapshot";
    }
    shares.push_back(js::uint32(entity, "sharePpm"));
    entities.push_back({.name = entityName,
                        .statsIndex = engine.statsIndex(name, entityName),
                        .deployment = std::move(spec)});
  }
  std::optional<AliasTable> split = AliasTable::build(shares);
  if (!split) return "endpoint " + name + ": its shares make no split";
  table.addEndpoint(name, makeRef<EndpointRoutes>(std::move(*split), std::move(entities)));
  return {};
}

}  // namespace

DeploymentUpdate readAddresses(const Napi::Object& update) {
  DeploymentUpdate result{.deployment = js::string(update, "deployment"), .addresses = {}};
  const Napi::Array list = js::array(update, "addresses");
  for (uint32_t index = 0; index < list.Length(); index++) {
    const Napi::Object input = list.Get(index).As<Napi::Object>();
    result.addresses.push_back({.host = js::string(input, "host"),
                                .port = static_cast<uint16_t>(js::uint32(input, "port")),
                                .authority = js::string(input, "authority"),
                                .basePath = js::string(input, "basePath"),
                                .weight = js::uint32(input, "weight"),
                                .ready = js::boolean(input, "ready")});
  }
  return result;
}

std::string applyAddresses(Engine& engine, const DeploymentUpdate& update) {
  for (const auto& [key, set] : engine.addressSets()) {
    if (key.first != update.deployment) continue;
    std::string error = set->update(engine, update.addresses);
    if (!error.empty()) return error;
  }
  return {};
}

PreparedSnapshot buildSnapshot(Engine& engine, const Napi::Object& snapshot, std::string& error) {
  const Napi::Value revision = snapshot.Get("revision");
  PreparedSnapshot prepared{
      .table = makeRef<RoutingTable>(
          revision.IsNumber() ? static_cast<uint64_t>(revision.As<Napi::Number>().Int64Value())
                              : 0),
      .addresses = {}};
  const Napi::Array deployments = js::array(snapshot, "deployments");
  for (uint32_t index = 0; index < deployments.Length(); index++) {
    prepared.table->addDeployment(
        readDeployment(engine, deployments.Get(index).As<Napi::Object>()));
  }
  const Napi::Array endpoints = js::array(snapshot, "endpoints");
  for (uint32_t index = 0; index < endpoints.Length(); index++) {
    const Napi::HandleScope scope(snapshot.Env());
    error = addEndpoint(engine, *prepared.table, endpoints.Get(index).As<Napi::Object>());
    if (!error.empty()) return {};
  }
  const Napi::Array addresses = js::array(snapshot, "addresses");
  for (uint32_t index = 0; index < addresses.Length(); index++) {
    prepared.addresses.push_back(readAddresses(addresses.Get(index).As<Napi::Object>()));
  }
  return prepared;
}

}  // namespace pointsman
