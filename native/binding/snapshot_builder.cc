#include "binding/snapshot_builder.h"

#include <algorithm>

#include "binding/js.h"

namespace pointsman {

namespace {

// Each in a scope of its own: 10,000 endpoints would otherwise keep 100,000 handles alive.
template <class Visit>
void forEachObject(const Napi::Object& object, const char* key, Visit visit) {
  const Napi::Array list = js::array(object, key);
  for (uint32_t index = 0; index < list.Length(); index++) {
    const Napi::HandleScope scope(object.Env());
    visit(list.Get(index).As<Napi::Object>());
  }
}

template <class Visit>
void forEachText(const Napi::Object& object, const char* key, Visit visit) {
  const Napi::Array list = js::array(object, key);
  for (uint32_t index = 0; index < list.Length(); index++) {
    const Napi::HandleScope scope(object.Env());
    visit(list.Get(index).As<Napi::String>().Utf8Value());
  }
}

// Empty when its slot is out of range.
Ref<DeploymentSpec> readDeployment(Engine& engine, const Napi::Object& input) {
  const uint32_t limitSlot = js::uint32(input, "limitSlot");
  if (limitSlot >= kDeploymentSlotsMax) return {};
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
  spec->limit = {.gate = engine.admission().gate(limitSlot),
                 .maxInFlight = js::uint32(input, "maxInFlight")};
  spec->queueMax = js::uint32(input, "queueMax");
  spec->queueMs = js::uint32(input, "queueMs");
  spec->addresses = engine.addressSet(spec->name, spec->protocol);
  return spec;
}

EndpointAccess readAccess(const Napi::Object& input) {
  EndpointAccess access{.id = js::string(input, "id"),
                        .routeOptimized = js::boolean(input, "routeOptimized")};
  const Napi::Array readers = js::array(input, "readers");
  for (uint32_t index = 0; index < readers.Length(); index++) {
    access.readers.push_back(readers.Get(index).As<Napi::Number>().Uint32Value());
  }
  std::sort(access.readers.begin(), access.readers.end());
  return access;
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
      return "endpoint " + name + ": deployment " + deployment + " is not in the revision";
    }
    const uint32_t statsSlot = js::uint32(entity, "statsSlot");
    if (statsSlot >= kEntitySlotsMax) {
      return "endpoint " + name + ": entity " + entityName + " has no slot for its counters";
    }
    shares.push_back(js::uint32(entity, "sharePpm"));
    entities.push_back({.name = entityName,
                        .statsSlot = statsSlot,
                        .limit = {.gate = engine.admission().gate(entityLimitSlot(statsSlot)),
                                  .maxInFlight = js::uint32(entity, "maxInFlight")},
                        .deployment = std::move(spec)});
  }
  std::optional<AliasTable> split = AliasTable::build(shares);
  if (!split) return "endpoint " + name + ": its shares make no split";
  table.endpoints().set(
      name, makeRef<EndpointRoutes>(std::move(*split), std::move(entities), readAccess(input)));
  return {};
}

}  // namespace

DeploymentUpdate readAddresses(const Napi::Object& update) {
  DeploymentUpdate result{.deployment = js::string(update, "deployment"), .addresses = {}};
  forEachObject(update, "addresses", [&result](const Napi::Object& input) {
    result.addresses.push_back({.host = js::string(input, "host"),
                                .port = static_cast<uint16_t>(js::uint32(input, "port")),
                                .authority = js::string(input, "authority"),
                                .basePath = js::string(input, "basePath"),
                                .weight = js::uint32(input, "weight"),
                                .ready = js::boolean(input, "ready"),
                                .statsSlot = js::uint32(input, "statsSlot"),
                                .recoveredAtMs = js::uint64(input, "recoveredAtMs")});
  });
  return result;
}

PreparedSnapshot buildSnapshot(Engine& engine, const Napi::Object& delta, std::string& error) {
  const uint64_t revision = js::uint64(delta, "revision");
  const uint64_t baseRevision = js::uint64(delta, "baseRevision");
  if (revision <= baseRevision) {
    error = "revision " + std::to_string(revision) + " does not follow its base";
    return {};
  }
  Ref<RoutingTable> base = engine.tableOf(baseRevision);
  if (!base && baseRevision != 0) {
    error =
        "revision " + std::to_string(baseRevision) + ", which the change starts from, is unknown";
    return {};
  }
  PreparedSnapshot prepared{
      .table = base ? makeRef<RoutingTable>(revision, *base) : makeRef<RoutingTable>(revision),
      .addresses = {}};
  RoutingTable& table = *prepared.table;
  forEachText(delta, "removedEndpoints",
              [&](const std::string& name) { table.endpoints().remove(name); });
  forEachText(delta, "removedDeployments",
              [&](const std::string& name) { table.deployments().remove(name); });
  forEachObject(delta, "deployments", [&](const Napi::Object& input) {
    Ref<DeploymentSpec> spec = readDeployment(engine, input);
    if (spec) {
      table.deployments().set(spec->name, spec);
    } else {
      error = "deployment " + js::string(input, "name") + " has no slot for its counters";
    }
  });
  forEachObject(delta, "endpoints", [&](const Napi::Object& input) {
    if (error.empty()) error = addEndpoint(engine, table, input);
  });
  forEachObject(delta, "addresses", [&](const Napi::Object& input) {
    prepared.addresses.push_back(readAddresses(input));
  });
  if (!error.empty()) return {};
  return prepared;
}

}  // namespace pointsman
