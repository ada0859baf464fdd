#include "net/snapshot_builder.h"

#include <algorithm>
#include <optional>
#include <utility>
#include <vector>

#include "core/alias_table.h"
#include "core/wire_reader.h"
#include "net/envelope_field.h"

namespace pointsman {

namespace {

// Numbers of fields, same in proto/control.proto.
namespace prepare_field {
constexpr uint32_t kDelta = 1;
}

namespace delta_field {
constexpr uint32_t kRevision = 1;
constexpr uint32_t kBaseRevision = 2;
constexpr uint32_t kEndpoints = 3;
constexpr uint32_t kRemovedEndpoints = 4;
constexpr uint32_t kDeployments = 5;
constexpr uint32_t kRemovedDeployments = 6;
constexpr uint32_t kAddresses = 7;
}  // namespace delta_field

namespace endpoint_field {
constexpr uint32_t kName = 1;
constexpr uint32_t kId = 2;
constexpr uint32_t kEntities = 4;
constexpr uint32_t kReaders = 5;
constexpr uint32_t kRouteOptimized = 6;
}  // namespace endpoint_field

namespace entity_field {
constexpr uint32_t kName = 1;
constexpr uint32_t kSharePpm = 2;
constexpr uint32_t kDeployment = 3;
constexpr uint32_t kStatsSlot = 4;
constexpr uint32_t kMaxInFlight = 20;
}  // namespace entity_field

namespace deployment_field {
constexpr uint32_t kName = 1;
constexpr uint32_t kProtocol = 2;
constexpr uint32_t kHeaders = 3;
constexpr uint32_t kConnectMs = 4;
constexpr uint32_t kResponseHeaderMs = 5;
constexpr uint32_t kBodyIdleMs = 6;
constexpr uint32_t kTotalMs = 7;
constexpr uint32_t kKeepaliveIdleMs = 8;
constexpr uint32_t kReplaySafe = 9;
constexpr uint32_t kLimitSlot = 20;
constexpr uint32_t kMaxInFlight = 21;
constexpr uint32_t kQueueMax = 22;
constexpr uint32_t kQueueMs = 23;
}  // namespace deployment_field

namespace header_field {
constexpr uint32_t kName = 1;
constexpr uint32_t kValue = 2;
}  // namespace header_field

namespace addresses_field {
constexpr uint32_t kDeployment = 1;
constexpr uint32_t kAddresses = 2;
}  // namespace addresses_field

namespace address_field {
constexpr uint32_t kHost = 1;
constexpr uint32_t kPort = 2;
constexpr uint32_t kAuthority = 3;
constexpr uint32_t kBasePath = 4;
constexpr uint32_t kWeight = 5;
constexpr uint32_t kReady = 6;
constexpr uint32_t kStatsSlot = 7;
constexpr uint32_t kRecoveredAtMs = 8;
}  // namespace address_field

constexpr uint32_t kProtocolRaw = 1;
constexpr std::string_view kDamaged = "the message of the change is damaged";

// The message that a field of another one holds; empty when it has none, or is damaged before it.
std::string_view messageIn(std::string_view outer, uint32_t number) {
  WireReader reader(outer);
  while (reader.next()) {
    if (reader.number() == number) return reader.bytes();
  }
  return {};
}

// Calls for every field with this number; false where the message is damaged.
template <class Visit>
bool forEach(std::string_view message, uint32_t number, Visit visit) {
  WireReader reader(message);
  while (reader.next()) {
    if (reader.number() == number) visit(reader.bytes());
  }
  return !reader.failed();
}

bool appendHeader(std::string_view message, std::string& lines) {
  std::string_view name;
  std::string_view value;
  WireReader reader(message);
  while (reader.next()) {
    if (reader.number() == header_field::kName) name = reader.bytes();
    if (reader.number() == header_field::kValue) value = reader.bytes();
  }
  lines.append(name).append(": ").append(value).append("\r\n");
  return !reader.failed();
}

std::string setDeployment(Engine& engine, RoutingTable& table, std::string_view message) {
  using namespace deployment_field;  // NOLINT: its names alone are used here
  auto spec = makeRef<DeploymentSpec>();
  uint32_t limitSlot = 0;
  uint32_t maxInFlight = 0;
  bool isWhole = true;
  WireReader reader(message);
  while (reader.next()) {
    switch (reader.number()) {
      case kName:
        spec->name = reader.bytes();
        break;
      case kProtocol:
        spec->protocol = reader.uint32() == kProtocolRaw ? Protocol::kRaw : Protocol::kMlflow;
        break;
      case kHeaders:
        isWhole = appendHeader(reader.bytes(), spec->headerLines) && isWhole;
        break;
      case kConnectMs:
        spec->connectMs = reader.uint32();
        break;
      case kResponseHeaderMs:
        spec->responseHeaderMs = reader.uint32();
        break;
      case kBodyIdleMs:
        spec->bodyIdleMs = reader.uint32();
        break;
      case kTotalMs:
        spec->totalMs = reader.uint32();
        break;
      case kKeepaliveIdleMs:
        spec->keepaliveIdleMs = reader.uint32();
        break;
      case kReplaySafe:
        spec->replaySafe = reader.boolean();
        break;
      case kLimitSlot:
        limitSlot = reader.uint32();
        break;
      case kMaxInFlight:
        maxInFlight = reader.uint32();
        break;
      case kQueueMax:
        spec->queueMax = reader.uint32();
        break;
      case kQueueMs:
        spec->queueMs = reader.uint32();
        break;
      default:
        break;
    }
  }
  if (reader.failed() || !isWhole) return std::string(kDamaged);
  if (limitSlot >= kDeploymentSlotsMax) {
    return "deployment " + spec->name + " has no slot for its counters";
  }
  spec->limit = {.gate = engine.admission().gate(limitSlot), .maxInFlight = maxInFlight};
  spec->addresses = engine.addressSet(spec->name, spec->protocol);
  const std::string name = spec->name;
  table.deployments().set(name, std::move(spec));
  return {};
}

// An entity without its deployment, of which the table has to know.
struct EntityInput {
  EntityTarget target{};
  uint32_t sharePpm = 0;
  std::string_view deployment;
};

bool readEntity(Engine& engine, std::string_view message, EntityInput& input) {
  uint32_t maxInFlight = 0;
  WireReader reader(message);
  while (reader.next()) {
    switch (reader.number()) {
      case entity_field::kName:
        input.target.name = reader.bytes();
        break;
      case entity_field::kSharePpm:
        input.sharePpm = reader.uint32();
        break;
      case entity_field::kDeployment:
        input.deployment = reader.bytes();
        break;
      case entity_field::kStatsSlot:
        input.target.statsSlot = reader.uint32();
        break;
      case entity_field::kMaxInFlight:
        maxInFlight = reader.uint32();
        break;
      default:
        break;
    }
  }
  if (input.target.statsSlot < kEntitySlotsMax) {
    input.target.limit = {.gate = engine.admission().gate(entityLimitSlot(input.target.statsSlot)),
                          .maxInFlight = maxInFlight};
  }
  return !reader.failed();
}

// Numbers stand packed or one by one, as the format leaves it to the writer; a packed list may be
// empty.
bool readReaders(const WireReader& field, std::vector<uint32_t>& readers) {
  if (field.isVarint()) {
    readers.push_back(field.uint32());
    return true;
  }
  WireReader list(field.bytes());
  while (!list.atEnd()) readers.push_back(static_cast<uint32_t>(list.packed()));
  return !list.failed();
}

std::string setEndpoint(Engine& engine, RoutingTable& table, std::string_view message) {
  std::string name;
  EndpointAccess access;
  std::vector<EntityInput> inputs;
  bool isWhole = true;
  WireReader reader(message);
  while (reader.next()) {
    switch (reader.number()) {
      case endpoint_field::kName:
        name = reader.bytes();
        break;
      case endpoint_field::kId:
        access.id = reader.bytes();
        break;
      case endpoint_field::kEntities:
        isWhole = readEntity(engine, reader.bytes(), inputs.emplace_back()) && isWhole;
        break;
      case endpoint_field::kReaders:
        isWhole = readReaders(reader, access.readers) && isWhole;
        break;
      case endpoint_field::kRouteOptimized:
        access.routeOptimized = reader.boolean();
        break;
      default:
        break;
    }
  }
  if (reader.failed() || !isWhole) return std::string(kDamaged);
  std::sort(access.readers.begin(), access.readers.end());
  std::vector<EntityTarget> entities;
  std::vector<uint32_t> shares;
  entities.reserve(inputs.size());
  for (EntityInput& input : inputs) {
    Ref<DeploymentSpec> spec = table.deployment(input.deployment);
    if (!spec && !input.deployment.empty()) {
      return "endpoint " + name + ": deployment " + std::string(input.deployment) +
             " is not in the revision";
    }
    if (input.target.statsSlot >= kEntitySlotsMax) {
      return "endpoint " + name + ": entity " + input.target.name + " has no slot for its counters";
    }
    shares.push_back(input.sharePpm);
    input.target.deployment = std::move(spec);
    entities.push_back(std::move(input.target));
  }
  std::optional<AliasTable> split = AliasTable::build(shares);
  if (!split) return "endpoint " + name + ": its shares make no split";
  table.endpoints().set(
      name, makeRef<EndpointRoutes>(std::move(*split), std::move(entities), std::move(access)));
  return {};
}

bool readAddress(std::string_view message, AddressInput& address) {
  using namespace address_field;  // NOLINT: its names alone are used here
  // What a message does not say is 0, whatever is usual elsewhere.
  address.weight = 0;
  address.ready = false;
  WireReader reader(message);
  while (reader.next()) {
    switch (reader.number()) {
      case kHost:
        address.host = reader.bytes();
        break;
      case kPort:
        address.port = static_cast<uint16_t>(reader.varint());
        break;
      case kAuthority:
        address.authority = reader.bytes();
        break;
      case kBasePath:
        address.basePath = reader.bytes();
        break;
      case kWeight:
        address.weight = reader.uint32();
        break;
      case kReady:
        address.ready = reader.boolean();
        break;
      case kStatsSlot:
        address.statsSlot = reader.uint32();
        break;
      case kRecoveredAtMs:
        address.recoveredAtMs = reader.varint();
        break;
      default:
        break;
    }
  }
  return !reader.failed();
}

bool readUpdate(std::string_view message, DeploymentUpdate& update) {
  bool isWhole = true;
  WireReader reader(message);
  while (reader.next()) {
    if (reader.number() == addresses_field::kDeployment) update.deployment = reader.bytes();
    if (reader.number() == addresses_field::kAddresses) {
      isWhole = readAddress(reader.bytes(), update.addresses.emplace_back()) && isWhole;
    }
  }
  return isWhole && !reader.failed();
}

struct Revisions {
  uint64_t revision = 0;
  uint64_t base = 0;
};

Revisions readRevisions(std::string_view delta) {
  Revisions read;
  WireReader reader(delta);
  while (reader.next()) {
    if (reader.number() == delta_field::kRevision) read.revision = reader.varint();
    if (reader.number() == delta_field::kBaseRevision) read.base = reader.varint();
  }
  return read;
}

}  // namespace

bool readAddresses(std::string_view envelope, DeploymentUpdate& update) {
  const std::string_view message = messageIn(envelope, envelope_field::kAddresses);
  return !message.empty() && readUpdate(message, update);
}

std::string applyAddresses(Engine& engine, std::string_view envelope) {
  DeploymentUpdate update;
  if (!readAddresses(envelope, update)) return "the addresses are damaged";
  // Else the lists that wait with a revision that is active already would replace these, which are
  // newer.
  engine.snapshot();
  return engine.updateAddresses(update);
}

// Endpoints refer to deployments, so these are read first, wherever they stand.
PreparedSnapshot buildSnapshot(Engine& engine, std::string_view envelope, std::string& error) {
  const std::string_view delta =
      messageIn(messageIn(envelope, envelope_field::kPrepare), prepare_field::kDelta);
  const Revisions revisions = readRevisions(delta);
  if (revisions.revision <= revisions.base) {
    error = "revision " + std::to_string(revisions.revision) + " does not follow its base";
    return {};
  }
  const Ref<RoutingTable> base = engine.tableOf(revisions.base);
  if (!base && revisions.base != 0) {
    error =
        "revision " + std::to_string(revisions.base) + ", which the change starts from, is unknown";
    return {};
  }
  PreparedSnapshot prepared{.table = base ? makeRef<RoutingTable>(revisions.revision, *base)
                                          : makeRef<RoutingTable>(revisions.revision),
                            .addresses = {}};
  RoutingTable& table = *prepared.table;
  const auto keep = [&error](std::string problem) {
    if (error.empty()) error = std::move(problem);
  };
  bool isWhole = forEach(delta, delta_field::kRemovedEndpoints,
                         [&](std::string_view name) { table.endpoints().remove(name); });
  isWhole = forEach(delta, delta_field::kRemovedDeployments,
                    [&](std::string_view name) { table.deployments().remove(name); }) &&
            isWhole;
  isWhole =
      forEach(delta, delta_field::kDeployments,
              [&](std::string_view message) { keep(setDeployment(engine, table, message)); }) &&
      isWhole;
  isWhole = forEach(delta, delta_field::kEndpoints,
                    [&](std::string_view message) { keep(setEndpoint(engine, table, message)); }) &&
            isWhole;
  isWhole = forEach(delta, delta_field::kAddresses,
                    [&](std::string_view message) {
                      if (!readUpdate(message, prepared.addresses.emplace_back())) {
                        keep(std::string(kDamaged));
                      }
                    }) &&
            isWhole;
  if (!isWhole) keep(std::string(kDamaged));
  if (!error.empty()) return {};
  return prepared;
}

}  // namespace pointsman
