// Tables made of the bytes of a prepare: all that a change says, in any order of its parts, and why
// some changes cannot be built.
#include "net/snapshot_builder.h"

#include <algorithm>
#include <array>
#include <string>
#include <vector>

#include "test/change_kit.h"
#include "test/check.h"
#include "test/wire_kit.h"

namespace {

using namespace pointsman;        // NOLINT: the code under test
using namespace pointsman::test;  // NOLINT: its kit

// A delta of one endpoint with these entities, and its two deployments.
std::string deltaOf(const std::vector<Fields>& entities) {
  Fields endpoint = {wireBytes(1, "one")};
  for (const Fields& one : entities) endpoint.push_back(wireBytes(4, joined(one)));
  return joined(revisions(7, 0) + Fields{deploymentField(joined(rawDeployment())),
                                         deploymentField(joined(plainDeployment())),
                                         endpointField(joined(endpoint))});
}

bool isNear(uint32_t actual, uint32_t expected) {
  return actual + 5 >= expected && actual <= expected + 5;
}

// The table's endpoint, which must be there.
const EndpointRoutes& endpointOf(const Ref<RoutingTable>& table, std::string_view name) {
  static const EndpointRoutes kNone(*AliasTable::build(std::array<uint32_t, 1>{1}), {});
  const EndpointRoutes* found = table->find(name);
  return CHECK(found != nullptr) ? *found : kNone;
}

void readsEndpoints() {
  World world;
  const Ref<RoutingTable> table = world.tableOf(joined(wholeDelta()));
  CHECK_EQUAL(table->revision(), 7U);
  const EndpointRoutes& one = endpointOf(table, "one");
  CHECK_EQUAL(one.access().id, "id-1");
  CHECK(one.access().routeOptimized);
  CHECK((one.access().readers == std::vector<uint32_t>{2, 9, 300}));
  CHECK(isNear(drawn(one, "a"), 30'000));
  CHECK(isNear(drawn(one, "b"), 70'000));
  CHECK_EQUAL(drawn(one, "gone"), 0U);
  const EntityTarget* a = one.find("a");
  if (!CHECK(a != nullptr)) return;
  CHECK_EQUAL(a->statsSlot, 10U);
  CHECK_EQUAL(describe(a->limit), "slot " + std::to_string(entityLimitSlot(10)) + " max 2");
  CHECK(a->deployment.get() == table->deployment("raw").get());
  const EntityTarget* gone = one.find("gone");
  if (!CHECK(gone != nullptr)) return;
  CHECK(!gone->deployment);
  CHECK_EQUAL(describe(gone->limit), "slot " + std::to_string(entityLimitSlot(12)) + " max 0");
  const EndpointRoutes& two = endpointOf(table, "two");
  CHECK(!two.access().routeOptimized && two.access().readers.empty());
  CHECK_EQUAL(drawn(two, "only"), 100'000U);
}

void readsDeployments() {
  World world;
  const Ref<RoutingTable> table = world.tableOf(joined(wholeDelta()));
  const Ref<DeploymentSpec> raw = table->deployment("raw");
  if (!CHECK(raw)) return;
  CHECK_EQUAL(raw->name, "raw");
  CHECK(raw->protocol == Protocol::kRaw);
  CHECK_EQUAL(raw->headerLines, "x-key: secret\r\nx-empty: \r\n");
  CHECK_EQUAL(raw->connectMs, 1'001U);
  CHECK_EQUAL(raw->responseHeaderMs, 1'002U);
  CHECK_EQUAL(raw->bodyIdleMs, 1'003U);
  CHECK_EQUAL(raw->totalMs, 1'004U);
  CHECK_EQUAL(raw->keepaliveIdleMs, 1'005U);
  CHECK(raw->replaySafe);
  CHECK_EQUAL(describe(raw->limit), "slot 5 max 6");
  CHECK_EQUAL(raw->queueMax, 7U);
  CHECK_EQUAL(raw->queueMs, 8U);
  // The live set that later changes of its addresses go to.
  CHECK(raw->addresses.get() == world.engine.addressSet("raw", Protocol::kRaw).get());
  const Ref<DeploymentSpec> plain = table->deployment("plain");
  if (!CHECK(plain)) return;
  CHECK_EQUAL(describe(plain), "plain mlflow 0 0 0 0 0 0 0 once slot 0 max 0\n");
  CHECK(plain->addresses.get() == world.engine.addressSet("plain", Protocol::kMlflow).get());
}

void checkAddresses(const DeploymentUpdate& update) {
  CHECK_EQUAL(update.deployment, "raw");
  if (!CHECK_EQUAL(update.addresses.size(), 2U)) return;
  const AddressInput& first = update.addresses[0];
  CHECK_EQUAL(first.host, "127.0.0.1");
  CHECK_EQUAL(first.port, 8'001U);
  CHECK_EQUAL(first.authority, "one.test:8001");
  CHECK_EQUAL(first.basePath, "/v1");
  CHECK_EQUAL(first.weight, 3U);
  CHECK(first.ready);
  CHECK_EQUAL(first.statsSlot, 21U);
  CHECK_EQUAL(first.recoveredAtMs, 1'700'000'000'123U);
  // Writers leave out what is 0 or false, whatever an AddressInput has when nobody says anything.
  const AddressInput& second = update.addresses[1];
  CHECK_EQUAL(second.host, "unix:/replica.sock");
  CHECK_EQUAL(second.weight, 0U);
  CHECK(!second.ready);
  CHECK(second.port == 0 && second.statsSlot == 0 && second.recoveredAtMs == 0);
  CHECK(second.authority.empty() && second.basePath.empty());
}

void readsAddresses() {
  World world;
  PreparedSnapshot built = world.build(joined(wholeDelta()));
  if (!CHECK_EQUAL(built.addresses.size(), 1U)) return;
  checkAddresses(built.addresses[0]);
  const Ref<DeploymentSpec> raw = built.table->deployment("raw");
  CHECK(raw->addresses->entries().empty());
  world.activate(std::move(built));
  CHECK_EQUAL(raw->addresses->entries().size(), 2U);
  CHECK_EQUAL(raw->addresses->entries()[0].address->text(), "127.0.0.1:8001");
  CHECK_EQUAL(raw->addresses->entries()[0].target, "/v1");

  DeploymentUpdate update;
  const ExactBytes alone(wireBytes(7, joined(addressesFields())));
  CHECK(readAddresses(alone.view(), update));
  checkAddresses(update);
  update.addresses[0].ready = false;
  CHECK_EQUAL(world.engine.updateAddresses(update), "");
  CHECK(!raw->addresses->entries()[0].ready);
}

void refusesAddressesThatAreNone() {
  World world;
  world.activate(world.build(joined(wholeDelta())));
  const Ref<AddressSet> set = world.engine.addressSet("raw", Protocol::kRaw);
  const auto answerTo = [&world](const Fields& address) {
    const ExactBytes envelope(wireBytes(7, wireBytes(1, "raw") + wireBytes(2, joined(address))));
    DeploymentUpdate update;
    CHECK(readAddresses(envelope.view(), update));
    return world.engine.updateAddresses(update);
  };
  const Fields host = {wireBytes(1, "127.0.0.1")};
  CHECK_EQUAL(answerTo(host + Fields{wireNumber(7, kAddressSlotsMax)}),
              "deployment raw: 127.0.0.1 has no slot for its counters");
  CHECK_EQUAL(answerTo({wireBytes(1, "localhost")}), "deployment raw: localhost is no address");
  CHECK_EQUAL(set->entries().size(), 2U);
  CHECK_EQUAL(answerTo(host + Fields{wireNumber(7, 9)}), "");
  CHECK_EQUAL(set->entries().size(), 1U);

  DeploymentUpdate update;
  CHECK(!readAddresses({}, update));
  CHECK(!readAddresses(envelopeOf(joined(wholeDelta())), update));
  CHECK(!readAddresses(wireNumber(7, 1), update));
}

// A writer may order fields as it likes; an endpoint still finds its deployments.
void orderOfThePartsMeansNothing() {
  World world;
  const Fields delta = wholeDelta();
  const std::string expected = describe(world.tableOf(joined(delta)));
  const Fields reversed(delta.rbegin(), delta.rend());
  CHECK_EQUAL(describe(world.tableOf(joined(reversed))), expected);
  Fields rotated = delta;
  for (size_t turn = 0; turn < delta.size(); turn++) {
    std::rotate(rotated.begin(), rotated.begin() + 1, rotated.end());
    CHECK_EQUAL(describe(world.tableOf(joined(rotated))), expected);
  }
  const Fields known = firstEndpoint();
  Fields endpoint(known.rbegin(), known.rend());
  // Of entities the order counts: it is that of their draws.
  std::swap(endpoint[2], endpoint[4]);
  Fields raw = rawDeployment();
  std::swap(raw.front(), raw.back());
  CHECK_EQUAL(
      describe(world.tableOf(joined(
          revisions(7, 0) +
          Fields{endpointField(joined(endpoint)), endpointField(joined(secondEndpoint())),
                 deploymentField(joined(raw)), deploymentField(joined(plainDeployment()))}))),
      expected);
}

void readersComePackedOrNot() {
  World world;
  const auto readersOf = [&world](const std::string& fields) {
    const Fields endpoint = {wireBytes(1, "one"), wireBytes(4, joined(entity("a", 1, "", 0))),
                             fields};
    const Ref<RoutingTable> table =
        world.tableOf(joined(revisions(7, 0) + Fields{endpointField(joined(endpoint))}));
    return table ? endpointOf(table, "one").access().readers : std::vector<uint32_t>{~0U};
  };
  const std::vector<uint32_t> expected = {2, 9, 300};
  CHECK(readersOf(wireBytes(5, kPackedReaders)) == expected);
  CHECK(readersOf(wireNumber(5, 300) + wireNumber(5, 2) + wireNumber(5, 9)) == expected);
  CHECK(readersOf(wireNumber(5, 300) + wireBytes(5, wireVarint(9) + wireVarint(2))) == expected);
  CHECK((readersOf(wireNumber(5, 0)) == std::vector<uint32_t>{0}));
  CHECK((readersOf(wireBytes(5, std::string(1, '\0'))) == std::vector<uint32_t>{0}));
  // An empty list names nobody, and least of all the principal 0.
  CHECK(readersOf(wireBytes(5, "")).empty());
  CHECK(readersOf("").empty());
}

void skipsWhatIsNewerThanItself() {
  World world;
  const Fields unknown = {wireNumber(100, 1), wireBytes(101, "unknown")};
  const Fields raw = unknown + rawDeployment() + unknown;
  Fields first = unknown + firstEndpoint();
  first.push_back(wireBytes(102, wireBytes(1, "no name")));
  const Fields delta =
      unknown + revisions(7, 0) +
      Fields{endpointField(joined(first)), endpointField(joined(secondEndpoint())),
             deploymentField(joined(raw)), deploymentField(joined(plainDeployment() + unknown))} +
      unknown;
  CHECK_EQUAL(describe(world.tableOf(joined(delta))),
              describe(world.tableOf(joined(wholeDelta()))));
}

void needsItsBase() {
  World world;
  world.checkRefused("", "revision 0 does not follow its base");
  world.checkRefused(joined(revisions(3, 3)), "revision 3 does not follow its base");
  world.checkRefused(joined(revisions(2, 3)), "revision 2 does not follow its base");
  world.checkRefused(joined(revisions(9, 8)),
                     "revision 8, which the change starts from, is unknown");
  world.activate(world.build(joined(wholeDelta(8))));
  CHECK_EQUAL(describe(world.tableOf(joined(revisions(9, 8)))),
              "revision 9" + describe(world.engine.snapshot()).substr(10));
  // One that is prepared will do as well.
  world.engine.prepare(world.build(joined(revisions(9, 8))));
  CHECK(world.tableOf(joined(revisions(10, 9)))->find("one") != nullptr);
  world.engine.discard(9);
  world.checkRefused(joined(revisions(10, 9)),
                     "revision 9, which the change starts from, is unknown");
}

void removesWhatIsNamed() {
  World world;
  world.activate(world.build(joined(wholeDelta(1))));
  const std::string before = describe(world.engine.snapshot());
  const Ref<RoutingTable> next =
      world.tableOf(joined(revisions(2, 1) + Fields{wireBytes(4, "two"), wireBytes(6, "raw")}));
  CHECK(next->find("one") != nullptr);
  CHECK(next->find("two") == nullptr);
  CHECK(!next->deployment("raw"));
  CHECK(next->deployment("plain"));
  CHECK_EQUAL(describe(world.engine.snapshot()), before);
  world.checkRefused(
      joined(revisions(2, 1) + Fields{endpointField(joined(firstEndpoint())), wireBytes(6, "raw")}),
      "endpoint one: deployment raw is not in the revision");
  // Removed and there again is there.
  const Ref<RoutingTable> again =
      world.tableOf(joined(revisions(2, 1) + Fields{endpointField(joined(secondEndpoint())),
                                                    deploymentField(joined(plainDeployment())),
                                                    wireBytes(6, "plain"), wireBytes(4, "two")}));
  CHECK(again->find("two") != nullptr);
  CHECK(again->deployment("plain"));
}

void namesWhatCannotBeBuilt() {
  World world;
  world.checkRefused(deltaOf({entity("a", 1, "other", 0)}),
                     "endpoint one: deployment other is not in the revision");
  world.checkRefused(deltaOf({}), "endpoint one: its shares make no split");
  world.checkRefused(deltaOf({entity("a", 0, "raw", 0), entity("b", 0, "raw", 1)}),
                     "endpoint one: its shares make no split");
  constexpr uint64_t kHalf = uint64_t{1} << 31;
  world.checkRefused(deltaOf({entity("a", kHalf, "raw", 0), entity("b", kHalf, "raw", 1)}),
                     "endpoint one: its shares make no split");
  CHECK(world.tableOf(deltaOf({entity("a", kHalf, "raw", 0), entity("b", kHalf - 1, "raw", 1)})));
}

void givesNoSlotThatIsNotThere() {
  World world;
  const Ref<RoutingTable> table = world.tableOf(deltaOf({entity("a", 1, "raw", 65'535)}));
  CHECK_EQUAL(endpointOf(table, "one").find("a")->limit.gate->slot(), kLimitSlotsMax - 1);
  for (const uint64_t slot : {uint64_t{65'536}, uint64_t{0xFFFFFFFF}}) {
    world.checkRefused(deltaOf({entity("a", 1, "raw", slot)}),
                       "endpoint one: entity a has no slot for its counters");
  }
  const auto deployment = [](uint64_t slot) {
    const Fields fields = {wireBytes(1, "d"), wireNumber(20, slot)};
    return joined(revisions(7, 0) + Fields{deploymentField(joined(fields))});
  };
  CHECK_EQUAL(world.tableOf(deployment(16'383))->deployment("d")->limit.gate->slot(), 16'383U);
  for (const uint64_t slot : {uint64_t{16'384}, uint64_t{0xFFFFFFFF}}) {
    world.checkRefused(deployment(slot), "deployment d has no slot for its counters");
  }
}

void aRefusedOneLeavesNothingBehind() {
  World world;
  world.activate(world.build(joined(wholeDelta(1))));
  const std::string before = describe(world.engine.snapshot());
  const Ref<DeploymentSpec> raw = world.engine.snapshot()->deployment("raw");
  const Fields changed = {wireBytes(1, "raw"), wireNumber(2, 1), wireNumber(4, 9)};
  const Fields broken = {wireBytes(1, "three")};
  world.checkRefused(
      joined(revisions(2, 1) +
             Fields{wireBytes(4, "one"), wireBytes(6, "plain"), deploymentField(joined(changed)),
                    addressesField(joined(addressesFields())), endpointField(joined(broken))}),
      "endpoint three: its shares make no split");
  CHECK(!world.engine.tableOf(2));
  CHECK_EQUAL(world.engine.snapshot()->revision(), 1U);
  CHECK_EQUAL(describe(world.engine.snapshot()), before);
  CHECK(world.engine.snapshot()->deployment("raw").get() == raw.get());
  CHECK_EQUAL(raw->addresses->entries()[0].address->text(), "127.0.0.1:8001");
  // Under its number another one can be built, from the same base.
  const Ref<RoutingTable> other = world.tableOf(joined(revisions(2, 1)));
  CHECK_EQUAL(describe(other), "revision 2" + before.substr(10));
}

}  // namespace

int main() {
  readsEndpoints();
  readsDeployments();
  readsAddresses();
  refusesAddressesThatAreNone();
  orderOfThePartsMeansNothing();
  readersComePackedOrNot();
  skipsWhatIsNewerThanItself();
  needsItsBase();
  removesWhatIsNamed();
  namesWhatCannotBeBuilt();
  givesNoSlotThatIsNotThere();
  aRefusedOneLeavesNothingBehind();
  return finishChecks();
}
