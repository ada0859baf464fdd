// What tests of changes share: a change as it comes from control.sock, an engine that builds tables
// of it, and all that a table says as a text.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "net/snapshot_builder.h"
#include "test/check.h"
#include "test/net/relay.h"
#include "test/wire_kit.h"

namespace pointsman::test {

// A message as its fields, so that a test knows where it may be cut.
using Fields = std::vector<std::string>;

inline std::string joined(const Fields& fields) {
  std::string message;
  for (const std::string& field : fields) message += field;
  return message;
}

inline Fields operator+(Fields a, const Fields& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

// Fields by number as in proto/control.proto, which this test repeats on purpose.
inline std::string envelopeOf(std::string_view delta) {
  return wireBytes(3, wireBytes(1, delta));
}

inline std::string endpointField(std::string_view endpoint) {
  return wireBytes(3, endpoint);
}
inline std::string deploymentField(std::string_view deployment) {
  return wireBytes(5, deployment);
}
inline std::string addressesField(std::string_view addresses) {
  return wireBytes(7, addresses);
}

inline Fields revisions(uint64_t revision, uint64_t base) {
  return {wireNumber(1, revision), wireNumber(2, base)};
}

inline Fields headerFields() {
  return {wireBytes(1, "x-key"), wireBytes(2, "secret")};
}

inline Fields rawDeployment() {
  return {wireBytes(1, "raw"),
          wireNumber(2, 1),
          wireBytes(3, joined(headerFields())),
          wireBytes(3, wireBytes(1, "x-empty")),
          wireNumber(4, 1'001),
          wireNumber(5, 1'002),
          wireNumber(6, 1'003),
          wireNumber(7, 1'004),
          wireNumber(8, 1'005),
          wireNumber(9, 1),
          wireNumber(20, 5),
          wireNumber(21, 6),
          wireNumber(22, 7),
          wireNumber(23, 8)};
}

// Says no more than it must.
inline Fields plainDeployment() {
  return {wireBytes(1, "plain")};
}

inline Fields entity(std::string_view name, uint64_t sharePpm, std::string_view deployment,
                     uint64_t statsSlot) {
  return {wireBytes(1, name), wireNumber(2, sharePpm), wireBytes(3, deployment),
          wireNumber(4, statsSlot)};
}

inline Fields limitedEntity() {
  return entity("a", 300'000, "raw", 10) + Fields{wireNumber(20, 2)};
}

inline const std::string kPackedReaders = wireVarint(9) + wireVarint(300) + wireVarint(2);

inline Fields firstEndpoint() {
  return {wireBytes(1, "one"),
          wireBytes(2, "id-1"),
          wireNumber(3, 77),
          wireBytes(4, joined(limitedEntity())),
          wireBytes(4, joined(entity("b", 700'000, "plain", 11))),
          wireBytes(4, joined(entity("gone", 0, "", 12))),
          wireBytes(5, kPackedReaders),
          wireNumber(6, 1)};
}

inline Fields secondEndpoint() {
  return {wireBytes(1, "two"), wireBytes(2, "id-2"),
          wireBytes(4, joined(entity("only", 1'000'000, "plain", 13)))};
}

inline Fields firstAddress() {
  return {wireBytes(1, "127.0.0.1"),
          wireNumber(2, 8'001),
          wireBytes(3, "one.test:8001"),
          wireBytes(4, "/v1"),
          wireNumber(5, 3),
          wireNumber(6, 1),
          wireNumber(7, 21),
          wireNumber(8, 1'700'000'000'123)};
}

inline Fields addressesFields() {
  return {wireBytes(1, "raw"), wireBytes(2, joined(firstAddress())),
          wireBytes(2, wireBytes(1, "unix:/replica.sock"))};
}

inline Fields wholeDelta(uint64_t revision = 7, uint64_t base = 0) {
  return revisions(revision, base) + Fields{endpointField(joined(firstEndpoint())),
                                            endpointField(joined(secondEndpoint())),
                                            wireBytes(4, "nobody"),
                                            deploymentField(joined(rawDeployment())),
                                            deploymentField(joined(plainDeployment())),
                                            wireBytes(6, "nothing"),
                                            addressesField(joined(addressesFields()))};
}

// An engine that knows no revision yet.
struct World {
  // In memory of exactly their size. What could not be built is an error and no table.
  PreparedSnapshot build(std::string_view delta) {
    const ExactBytes envelope(envelopeOf(delta));
    return buildBytes(envelope.view());
  }
  PreparedSnapshot buildBytes(std::string_view envelope) {
    error.clear();
    PreparedSnapshot built = buildSnapshot(engine, envelope, error);
    CHECK_EQUAL(static_cast<bool>(built.table), error.empty());
    if (!built.table) CHECK(built.addresses.empty());
    return built;
  }
  Ref<RoutingTable> tableOf(std::string_view delta) {
    PreparedSnapshot built = build(delta);
    CHECK_EQUAL(error, "");
    return built.table;
  }
  void checkRefused(std::string_view delta, std::string_view why) {
    build(delta);
    CHECK_EQUAL(error, why);
  }
  void activate(PreparedSnapshot built) {
    const uint64_t revision = built.table->revision();
    engine.prepare(std::move(built));
    relay.control.activeRevision = revision;
    CHECK_EQUAL(engine.snapshot()->revision(), revision);
  }

  Relay relay;
  Engine& engine = *relay.engine;
  std::string error;
};

// Of as many draws, at equal distances, how many are the entity's.
inline uint32_t drawn(const EndpointRoutes& routes, std::string_view entity,
                      uint32_t draws = 100'000) {
  uint32_t count = 0;
  const uint64_t step = ~uint64_t{0} / draws;
  for (uint64_t draw = 0; draw < draws; draw++) {
    count += static_cast<uint32_t>(routes.pick(draw * step + step / 2).name == entity);
  }
  return count;
}

inline std::string describe(const Limit& limit) {
  return "slot " + (limit.gate ? std::to_string(limit.gate->slot()) : "none") + " max " +
         std::to_string(limit.maxInFlight);
}

inline std::string describe(const Ref<DeploymentSpec>& spec) {
  if (!spec) return "none\n";
  std::string text = spec->name + (spec->protocol == Protocol::kRaw ? " raw " : " mlflow ");
  for (const uint32_t number :
       {spec->connectMs, spec->responseHeaderMs, spec->bodyIdleMs, spec->totalMs,
        spec->keepaliveIdleMs, spec->queueMax, spec->queueMs}) {
    text += std::to_string(number) + " ";
  }
  text += spec->replaySafe ? "replayed " : "once ";
  return text + describe(spec->limit) + "\n" + spec->headerLines;
}

// All that the table says of what `wholeDelta` names.
inline std::string describe(const Ref<RoutingTable>& table) {
  if (!table) return "no table";
  std::string text = "revision " + std::to_string(table->revision()) + "\n";
  for (const char* name : {"raw", "plain", "nothing"}) text += describe(table->deployment(name));
  for (const char* name : {"one", "two", "nobody"}) {
    const EndpointRoutes* routes = table->find(name);
    text.append(name).append(routes == nullptr ? ": none\n" : ":\n");
    if (routes == nullptr) continue;
    text += routes->access().id + (routes->access().routeOptimized ? " routed" : " plain");
    for (const uint32_t reader : routes->access().readers) text += " " + std::to_string(reader);
    text += "\n";
    for (const char* entity : {"a", "b", "gone", "only"}) {
      const EntityTarget* target = routes->find(entity);
      if (target == nullptr) continue;
      text += target->name + " " + std::to_string(drawn(*routes, entity, 1'000)) + " at " +
              std::to_string(target->statsSlot) + " " + describe(target->limit) + " " +
              describe(target->deployment);
    }
  }
  return text;
}

}  // namespace pointsman::test
