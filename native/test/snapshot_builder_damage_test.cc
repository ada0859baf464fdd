// Changes that were damaged on their way: an error or a table comes of them, and nothing is read
// outside of their bytes.
#include <functional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "net/snapshot_builder.h"
#include "test/change_kit.h"
#include "test/check.h"
#include "test/wire_kit.h"

namespace {

using namespace pointsman;        // NOLINT: the code under test
using namespace pointsman::test;  // NOLINT: its kit

// Cut at the end of a field a message is one still, if not the same; cut inside of one it is none,
// and nothing may come of it.
void checkCuts(const Fields& fields, const std::function<bool(std::string_view)>& isTaken) {
  const std::string message = joined(fields);
  size_t cutsInside = 0;
  size_t field = 0;
  size_t end = 0;
  for (size_t cut = 0; cut < message.size(); cut++) {
    const bool isBetween = cut == end;
    const bool isTakenSo = isTaken(std::string_view(message).substr(0, cut));
    if (isBetween) {
      end += fields[field++].size();
    } else {
      cutsInside++;
      CHECK(!isTakenSo);
    }
  }
  CHECK(cutsInside > 0);
  CHECK(isTaken(message));
}

void refusesWhatIsCut() {
  World world;
  const std::string envelope = envelopeOf(joined(wholeDelta()));
  checkCuts({envelope}, [&world](std::string_view part) {
    const ExactBytes exact(part);
    return static_cast<bool>(world.buildBytes(exact.view()).table);
  });
  const auto inDelta = [&world](const std::function<std::string(std::string_view)>& wrap) {
    return [&world, wrap](std::string_view part) {
      // Endpoints that lose their entities are refused for that.
      return static_cast<bool>(world.build(joined(revisions(7, 0)) + wrap(part)).table);
    };
  };
  checkCuts(wholeDelta(),
            [&world](std::string_view part) { return static_cast<bool>(world.build(part).table); });
  // Its entities first: without them it is refused whatever it is.
  const Fields known = secondEndpoint();
  checkCuts(Fields(known.rbegin(), known.rend()), inDelta([](std::string_view part) {
              return deploymentField(joined(plainDeployment())) + endpointField(part);
            }));
  checkCuts(rawDeployment(), inDelta(deploymentField));
  checkCuts(headerFields(),
            inDelta([](std::string_view part) { return deploymentField(wireBytes(3, part)); }));
  checkCuts(limitedEntity(), inDelta([](std::string_view part) {
              return deploymentField(joined(rawDeployment())) + endpointField(wireBytes(4, part));
            }));
  checkCuts(
      {wireVarint(300), wireVarint(70'000)}, inDelta([](std::string_view part) {
        return endpointField(wireBytes(4, joined(entity("a", 1, "", 0))) + wireBytes(5, part));
      }));
  checkCuts(addressesFields(), inDelta(addressesField));
  checkCuts(firstAddress(),
            inDelta([](std::string_view part) { return addressesField(wireBytes(2, part)); }));
}

void refusesAddressesThatAreCut() {
  const auto isRead = [](std::string_view envelope) {
    const ExactBytes exact(envelope);
    DeploymentUpdate update;
    return readAddresses(exact.view(), update);
  };
  checkCuts({wireBytes(7, joined(addressesFields()))}, isRead);
  checkCuts(addressesFields(),
            [&isRead](std::string_view part) { return isRead(wireBytes(7, part)); });
  checkCuts(firstAddress(),
            [&isRead](std::string_view part) { return isRead(wireBytes(7, wireBytes(2, part))); });
}

// Calls with every byte of the message replaced by others: by values that mean something to the
// format, and by its own with one bit changed.
void forEachSpoilt(const std::string& message, const std::function<void(std::string_view)>& visit) {
  for (size_t at = 0; at < message.size(); at++) {
    const auto byte = static_cast<uint8_t>(message[at]);
    std::vector<uint32_t> others = {0x00, 0x01, 0x02, 0x03, 0x7F, 0x80, 0xFF};
    for (uint32_t bit = 1; bit < 0x100; bit <<= 1) others.push_back(byte ^ bit);
    for (const uint32_t other : others) {
      if (other == byte) continue;
      std::string spoilt = message;
      spoilt[at] = static_cast<char>(other);
      const ExactBytes exact(spoilt);
      visit(exact.view());
    }
  }
}

void survivesEveryWrongByte() {
  World world;
  world.activate(world.build(joined(wholeDelta(1))));
  const std::string before = describe(world.engine.snapshot());
  uint32_t built = 0;
  uint32_t refused = 0;
  forEachSpoilt(envelopeOf(joined(wholeDelta(2, 1))), [&](std::string_view envelope) {
    PreparedSnapshot prepared = world.buildBytes(envelope);
    built += static_cast<uint32_t>(world.error.empty());
    refused += static_cast<uint32_t>(!world.error.empty());
    if (!prepared.table) return;
    describe(prepared.table);
    const uint64_t revision = prepared.table->revision();
    for (const DeploymentUpdate& update : prepared.addresses) world.engine.updateAddresses(update);
    world.engine.prepare(std::move(prepared));
    world.engine.discard(revision);
  });
  // Most bytes are of names and numbers, which may be any; many are of lengths, which may not.
  CHECK(built > 1'000);
  CHECK(refused > 1'000);
  CHECK_EQUAL(describe(world.engine.snapshot()), before);
  CHECK(world.tableOf(joined(wholeDelta(2, 1))));

  uint32_t read = 0;
  uint32_t unread = 0;
  forEachSpoilt(wireBytes(7, joined(addressesFields())), [&](std::string_view envelope) {
    DeploymentUpdate update;
    const bool isRead = readAddresses(envelope, update);
    read += static_cast<uint32_t>(isRead);
    unread += static_cast<uint32_t>(!isRead);
    if (isRead) world.engine.updateAddresses(update);
  });
  CHECK(read > 100);
  CHECK(unread > 100);
}

}  // namespace

int main() {
  refusesWhatIsCut();
  refusesAddressesThatAreCut();
  survivesEveryWrongByte();
  return finishChecks();
}
