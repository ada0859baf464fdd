// The worker's end of control.sock: what is acted on, in which order, in which turn of the loop,
// and what is left when the connection is lost.
#include "net/control_link.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "test/check.h"
#include "test/net/faults.h"
#include "test/net/relay.h"
#include "test/wire_kit.h"

namespace {

using namespace pointsman;        // NOLINT: the code under test
using namespace pointsman::test;  // NOLINT: its kit

constexpr const char* kSocketPath = "control_link_test.sock";
constexpr uint32_t kDiscard = 11;
constexpr uint32_t kDrain = 8;  // the host's

std::string frame(const std::string& envelope) {
  std::string prefix;
  for (uint32_t index = 0; index < 4; index++) {
    prefix += static_cast<char>(envelope.size() >> (8 * index));
  }
  return prefix + envelope;
}

// An endpoint of one entity that nothing serves.
std::string prepare(uint64_t revision, uint64_t base, const std::string& endpoint) {
  const std::string entity = wireBytes(1, "model") + wireNumber(2, 1'000'000);
  const std::string routes = wireBytes(1, endpoint) + wireBytes(2, "id") + wireBytes(4, entity);
  return frame(wireBytes(
      3, wireBytes(1, wireNumber(1, revision) + wireNumber(2, base) + wireBytes(3, routes))));
}

std::string discard(uint64_t revision) {
  return frame(wireBytes(kDiscard, wireNumber(1, revision)));
}

// `tag` tells one from another.
std::string drain(uint32_t tag) {
  return frame(wireBytes(kDrain, wireNumber(1, tag)));
}

std::string drainEnvelope(uint32_t tag) {
  return drain(tag).substr(4);
}

const std::string kPrepared = frame(wireBytes(4, ""));

struct Host final : ControlLinkHost {
  void onEnvelope(std::string_view envelope) noexcept override {
    envelopes.emplace_back(envelope);
    turns.push_back(turn());
    if (onNext) onNext();
  }
  void onControlFault(const std::string& problem) noexcept override { faults.push_back(problem); }
  void onControlLost() noexcept override {
    losses++;
    if (onLoss) onLoss();
  }

  std::function<uint64_t()> turn{};
  std::function<void()> onNext{};
  std::function<void()> onLoss{};
  std::vector<std::string> envelopes{};
  std::vector<uint64_t> turns{};
  std::vector<std::string> faults{};
  int losses = 0;
};

struct Kit {
  Kit() : link(std::make_unique<ControlLink>(*relay.engine, host)) {
    host.turn = [this] { return relay.loop.turnNumber(); };
    connect();
  }
  Kit(const Kit&) = delete;
  Kit& operator=(const Kit&) = delete;
  ~Kit() {
    link.reset();
    closeEnd();
    CHECK_EQUAL(relay.loop.deferredCount(), 0U);
  }

  void connect() {
    closeEnd();
    std::array<int, 2> ends{};
    CHECK_EQUAL(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends.data()), 0);
    CHECK(link->adopt(ends[0]));
    fd = ends[1];
  }

  void closeEnd() {
    if (fd >= 0) ::close(fd);
    fd = -1;
  }

  void say(const std::string& text) {
    CHECK_EQUAL(::send(fd, text.data(), text.size(), MSG_NOSIGNAL),
                static_cast<ssize_t>(text.size()));
  }

  // What the link has said since it was asked last.
  std::string heard() {
    std::string all;
    std::array<char, 65536> part{};
    for (;;) {
      const ssize_t got = ::recv(fd, part.data(), part.size(), 0);
      if (got <= 0) return all;
      all.append(part.data(), static_cast<size_t>(got));
    }
  }

  bool has(uint64_t revision) { return static_cast<bool>(relay.engine->tableOf(revision)); }

  Relay relay;
  Host host;
  std::unique_ptr<ControlLink> link;
  int fd = -1;
};

void actsOnChangesItself() {
  Kit kit;
  kit.say(prepare(7, 0, "one"));
  kit.relay.loop.settle();
  CHECK(kit.has(7));
  CHECK_EQUAL(kit.heard(), kPrepared);
  // A base that nobody has.
  kit.say(prepare(9, 8, "two"));
  kit.relay.loop.settle();
  CHECK(!kit.has(9));
  const std::string answer = kit.heard();
  CHECK(answer.find("revision 8, which the change starts from, is unknown") != std::string::npos);
  CHECK_EQUAL(answer, frame(wireBytes(4, wireBytes(2, answer.substr(answer.find("revision"))))));
  kit.say(prepare(8, 7, "two") + discard(8) + prepare(8, 7, "three"));
  kit.relay.loop.settle();
  CHECK_EQUAL(kit.heard(), kPrepared + kPrepared);
  CHECK(kit.relay.engine->tableOf(8)->find("three") != nullptr);
  CHECK(kit.relay.engine->tableOf(8)->find("two") == nullptr);
  CHECK(kit.host.envelopes.empty());
  CHECK_EQUAL(kit.host.losses, 0);
}

// The supervisor hears that it was not built, and the worker goes on.
void answersDamagedChanges() {
  const std::string good = prepare(1, 0, "one").substr(4);
  for (size_t cut = 1; cut < good.size(); cut++) {
    Kit kit;
    kit.say(frame(good.substr(0, cut)) + frame("\x5a\x7f") + prepare(2, 0, "two"));
    kit.relay.loop.settle();
    const std::string said = kit.heard();
    CHECK(said.find("does not follow its base") != std::string::npos ||
          said.find("damaged") != std::string::npos);
    CHECK(said.ends_with(kPrepared));
    CHECK(!kit.has(1) && kit.has(2));
    CHECK(kit.host.envelopes.empty());
    CHECK_EQUAL(kit.host.losses, 0);
  }
}

// An error longer than a length of one byte can say.
void answersWithALongError() {
  Kit kit;
  const std::string name(70'000, 'n');
  kit.say(frame(wireBytes(3, wireBytes(1, wireNumber(1, 1) + wireBytes(3, wireBytes(1, name))))));
  kit.relay.loop.settle();
  std::string answer;
  CHECK(kit.relay.loop.runUntil([&] {
    answer += kit.heard();
    return answer.size() > name.size();
  }));
  const std::string error = "endpoint " + name + ": its shares make no split";
  CHECK(answer == frame(wireBytes(4, wireBytes(2, error))));
}

void actsOnAddresses() {
  Kit kit;
  FakeReplica replica(kit.relay.loop);
  replica.play(okForever());
  kit.relay.setTargets({targetOf(replica)});
  CHECK_EQUAL(kit.relay.fetch().status, 200);
  const auto addresses = [&](const std::string& host, uint32_t slot) {
    const std::string address = wireBytes(1, host) + wireNumber(2, replica.port()) +
                                wireBytes(3, "a") + wireNumber(5, 1) + wireNumber(6, 1) +
                                wireNumber(7, slot);
    return frame(wireBytes(7, wireBytes(1, kit.relay.spec->name) + wireBytes(2, address)));
  };
  // The kit's own set is not the engine's; this one is.
  const Ref<AddressSet> set = kit.relay.engine->addressSet(kit.relay.spec->name, Protocol::kRaw);
  kit.say(addresses("127.0.0.1", 1));
  kit.relay.loop.settle();
  CHECK_EQUAL(set->entries().size(), 1U);
  kit.say(addresses("127.0.0.1", kAddressSlotsMax) + frame(wireBytes(7, "\x0a\x7f")));
  kit.relay.loop.settle();
  CHECK_EQUAL(kit.host.faults.size(), 2U);
  CHECK_EQUAL(kit.host.faults[0],
              "deployment " + kit.relay.spec->name + ": 127.0.0.1 has no slot for its counters");
  CHECK_EQUAL(kit.host.faults[1], "the addresses are damaged");
  CHECK_EQUAL(set->entries().size(), 1U);
  CHECK_EQUAL(kit.heard(), "");
}

// The list that came with a revision which no dispatch has followed yet is the older one.
void newerAddressesStay() {
  Kit kit;
  const auto address = [](uint32_t port) {
    return wireBytes(
        2, wireBytes(1, "127.0.0.1") + wireNumber(2, port) + wireNumber(5, 1) + wireNumber(6, 1));
  };
  const std::string deployment = wireBytes(5, wireBytes(1, "d"));
  const auto prepareWith = [&](uint64_t revision, const std::string& addresses) {
    const std::string update = wireBytes(7, wireBytes(1, "d") + addresses);
    return frame(wireBytes(3, wireBytes(1, wireNumber(1, revision) + wireNumber(2, revision - 1) +
                                               deployment + update)));
  };
  const Ref<AddressSet> set = kit.relay.engine->addressSet("d", Protocol::kMlflow);
  kit.say(prepareWith(1, address(9)));
  kit.relay.loop.settle();
  CHECK(set->entries().empty());
  kit.relay.control.activeRevision.store(1);
  kit.relay.engine->settle();
  CHECK_EQUAL(set->entries().size(), 1U);
  kit.say(prepareWith(2, address(9) + address(10)));
  kit.relay.loop.settle();
  kit.relay.control.activeRevision.store(2);
  kit.say(frame(wireBytes(7, wireBytes(1, "d") + address(9) + address(10) + address(11))));
  kit.relay.loop.settle();
  kit.relay.engine->settle();
  CHECK_EQUAL(kit.relay.engine->snapshot()->revision(), 2U);
  CHECK_EQUAL(set->entries().size(), 3U);
}

void givesOthersToTheHostOnePerTurn() {
  Kit kit;
  kit.say(drain(1) + drain(2) + prepare(1, 0, "one") + drain(3) + discard(1));
  CHECK(kit.relay.loop.turn());
  CHECK_EQUAL(kit.host.envelopes.size(), 1U);
  CHECK(kit.relay.loop.turn());
  CHECK_EQUAL(kit.host.envelopes.size(), 2U);
  // Behind what came before, and not earlier.
  CHECK(!kit.has(1));
  CHECK(kit.relay.loop.turn());
  CHECK(kit.has(1));
  CHECK_EQUAL(kit.host.envelopes.size(), 2U);
  kit.relay.loop.settle();
  CHECK(!kit.has(1));
  CHECK_EQUAL(kit.host.envelopes.size(), 3U);
  for (uint32_t tag = 1; tag <= 3; tag++) {
    CHECK_EQUAL(kit.host.envelopes[tag - 1], drainEnvelope(tag));
  }
  for (size_t index = 1; index < 3; index++) {
    CHECK(kit.host.turns[index] > kit.host.turns[index - 1]);
  }
}

void readsFramesInAnyPieces() {
  const std::string all = drain(1) + prepare(1, 0, "one") + prepare(2, 1, "two") + drain(2);
  for (size_t first = 0; first <= all.size(); first++) {
    Kit kit;
    kit.say(all.substr(0, first));
    kit.relay.loop.settle();
    kit.say(all.substr(first));
    kit.relay.loop.settle();
    CHECK(kit.has(1) && kit.has(2));
    CHECK_EQUAL(kit.host.envelopes.size(), 2U);
    CHECK_EQUAL(kit.heard(), kPrepared + kPrepared);
  }
  Kit kit;
  for (const char byte : all) {
    kit.say(std::string(1, byte));
    kit.relay.loop.settle();
  }
  CHECK(kit.has(1) && kit.has(2));
  CHECK_EQUAL(kit.host.envelopes.size(), 2U);
  kit.say(frame("") + drain(3));
  kit.relay.loop.settle();
  CHECK_EQUAL(kit.host.envelopes.size(), 4U);
  CHECK_EQUAL(kit.host.envelopes[2], "");
}

// A snapshot of 10,000 endpoints comes in some two hundred reads.
void readsLargeFrames() {
  Kit kit;
  std::string delta = wireNumber(1, 1);
  for (uint32_t index = 0; index < 10'000; index++) {
    const std::string entity = wireBytes(1, "model") + wireNumber(2, 1'000'000);
    delta += wireBytes(3, wireBytes(1, "endpoint-" + std::to_string(index)) +
                              wireBytes(2, std::string(32, 'a')) + wireBytes(4, entity) +
                              wireBytes(4, wireBytes(1, "other")) +
                              wireBytes(5, wireVarint(1) + wireVarint(2)));
  }
  const std::string all = frame(wireBytes(3, wireBytes(1, delta))) + drain(1);
  size_t said = 0;
  CHECK(kit.relay.loop.runUntil([&] {
    const ssize_t more = ::send(kit.fd, all.data() + said, all.size() - said, MSG_NOSIGNAL);
    if (more > 0) said += static_cast<size_t>(more);
    return !kit.host.envelopes.empty();
  }));
  CHECK(kit.has(1));
  CHECK(kit.relay.engine->tableOf(1)->find("endpoint-9999") != nullptr);
  CHECK_EQUAL(kit.heard(), kPrepared);
}

void tellsOfTheLossBehindWhatCame() {
  {
    Kit kit;
    kit.say(drain(1) + drain(2) + prepare(1, 0, "one") + drain(3));
    kit.closeEnd();
    kit.host.onNext = [&] { CHECK_EQUAL(kit.host.losses, 0); };
    kit.relay.loop.settle();
    CHECK_EQUAL(kit.host.envelopes.size(), 3U);
    CHECK_EQUAL(kit.host.losses, 1);
    CHECK(!kit.link->isOpen());
    // As nobody is there.
    kit.link->send(kPrepared);
    // And the next one starts anew, whatever was left of the last.
    kit.connect();
    kit.say(prepare(2, 0, "two"));
    kit.relay.loop.settle();
    CHECK_EQUAL(kit.heard(), kPrepared);
    CHECK_EQUAL(kit.host.losses, 1);
  }
  {
    // In the middle of a frame.
    Kit kit;
    kit.say(drain(1) + drain(2).substr(0, 5));
    kit.closeEnd();
    kit.relay.loop.settle();
    CHECK_EQUAL(kit.host.envelopes.size(), 1U);
    CHECK_EQUAL(kit.host.losses, 1);
  }
  {
    Kit kit;
    kit.say(drain(1) + "\x01" + std::string(2, '\0') + "\x04" + drain(2));
    kit.relay.loop.settle();
    CHECK_EQUAL(kit.host.envelopes.size(), 1U);
    CHECK_EQUAL(kit.host.losses, 1);
  }
}

// One turn each; what comes faster fills the socket, not this process.
void leavesWhatItCannotTakeYet() {
  constexpr size_t kTurns = 400;
  Kit kit;
  const std::string small = frame(wireBytes(kDrain, std::string(50, 'x')));
  size_t said = 0;
  const auto fill = [&] {
    for (;;) {
      const size_t at = said % small.size();
      const ssize_t more = ::send(kit.fd, small.data() + at, small.size() - at, MSG_NOSIGNAL);
      if (more <= 0) return;
      said += static_cast<size_t>(more);
    }
  };
  fill();
  const size_t socketHolds = said;
  for (size_t turn = 0; turn < kTurns; turn++) {
    CHECK(kit.relay.loop.turn());
    fill();
  }
  const size_t heard = kit.host.envelopes.size() * small.size();
  constexpr size_t kReadAtOnce = size_t{16} * 1024;
  CHECK(said - heard <= socketHolds + 2 * kReadAtOnce);
  CHECK_EQUAL(kit.host.envelopes.size(), kTurns);
  // And nothing is lost.
  const size_t whole = said / small.size();
  CHECK(kit.relay.loop.runUntil([&] { return kit.host.envelopes.size() == whole; }));
}

// Addresses of many deployments that share a host name come together: requests are served between.
void actsOnOneChangePerTurn() {
  Kit kit;
  const std::string update =
      frame(wireBytes(7, wireBytes(1, "d") + wireBytes(2, wireBytes(1, "no address"))));
  const Ref<AddressSet> set = kit.relay.engine->addressSet("d", Protocol::kMlflow);
  kit.say(update + update + update);
  for (size_t turn = 1; turn <= 3; turn++) {
    CHECK(kit.relay.loop.turn());
    CHECK_EQUAL(kit.host.faults.size(), turn);
  }
}

void hostMayCloseReplaceOrDestroyIt() {
  {
    Kit kit;
    kit.say(drain(1) + drain(2));
    kit.host.onNext = [&] { kit.link->close(); };
    kit.relay.loop.settle();
    CHECK_EQUAL(kit.host.envelopes.size(), 1U);
    CHECK_EQUAL(kit.host.losses, 0);
  }
  {
    Kit kit;
    kit.say(drain(1) + drain(2));
    kit.host.onNext = [&] {
      kit.host.onNext = {};
      kit.connect();
      kit.say(drain(3));
    };
    kit.relay.loop.settle();
    CHECK_EQUAL(kit.host.envelopes.size(), 2U);
    CHECK_EQUAL(kit.host.envelopes[1], drainEnvelope(3));
    CHECK_EQUAL(kit.host.losses, 0);
  }
  {
    Kit kit;
    kit.say(drain(1) + drain(2));
    kit.host.onNext = [&] { kit.link.reset(); };
    kit.relay.loop.settle();
    CHECK_EQUAL(kit.host.envelopes.size(), 1U);
  }
  {
    Kit kit;
    kit.closeEnd();
    kit.host.onLoss = [&] { kit.link.reset(); };
    kit.relay.loop.settle();
    CHECK_EQUAL(kit.host.losses, 1);
  }
  {
    // The host says something in the middle, as a worker does.
    Kit kit;
    kit.say(drain(1));
    kit.host.onNext = [&] { kit.link->send(drain(9)); };
    kit.relay.loop.settle();
    CHECK_EQUAL(kit.heard(), drain(9));
  }
}

void waitsForASupervisorThatDoesNotRead() {
  Kit kit;
  const std::string large = frame(std::string(100'000, 'x'));
  std::string all;
  while (all.size() + large.size() < ControlLink::kUnsentBytesMax) {
    kit.link->send(large);
    all += large;
  }
  std::string heard;
  CHECK(kit.relay.loop.runUntil([&] {
    heard += kit.heard();
    return heard.size() >= all.size();
  }));
  CHECK(heard == all);
  CHECK_EQUAL(kit.host.losses, 0);
  // For ever it does not.
  for (size_t sent = 0; sent < 3 * ControlLink::kUnsentBytesMax; sent += large.size()) {
    kit.link->send(large);
  }
  CHECK_EQUAL(kit.host.losses, 0);
  kit.relay.loop.settle();
  CHECK_EQUAL(kit.host.losses, 1);
}

// A send that fails takes nothing from what has come; a read that fails is the end.
void survivesFaults() {
  for (const char* call : {"recv", "sendmsg"}) {
    for (const int error : {EAGAIN, EINTR, ECONNRESET, EPIPE}) {
      for (uint32_t nth = 1; nth <= 2; nth++) {
        Kit kit;
        setFault(call, nth, error);
        kit.say(prepare(1, 0, "one"));
        kit.relay.loop.settle();
        if (kit.host.losses == 0) kit.say(prepare(2, 1, "two") + drain(1));
        kit.relay.loop.settle();
        CHECK(faultCalls() >= nth);
        clearFaults();
        // Of an edge that was told already; the next bytes make another.
        if (kit.host.losses == 0) kit.say(drain(2));
        kit.relay.loop.settle();
        const bool isPassing = error == EAGAIN || error == EINTR;
        const bool isEnd = !isPassing && std::string_view(call) == "recv";
        CHECK_EQUAL(kit.host.losses, isEnd ? 1 : 0);
        if (isEnd) continue;
        CHECK(kit.has(1) && kit.has(2));
        CHECK_EQUAL(kit.host.envelopes.size(), 2U);
        if (isPassing) CHECK_EQUAL(kit.heard(), kPrepared + kPrepared);
      }
    }
  }
  Kit kit;
  std::array<int, 2> ends{};
  CHECK_EQUAL(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends.data()), 0);
  setFault("watch", 1, ENOMEM);
  CHECK(!kit.link->adopt(ends[0]));
  clearFaults();
  CHECK(!kit.link->isOpen());
  CHECK_EQUAL(fcntl(ends[0], F_GETFD), -1);
  ::close(ends[1]);
}

void opensByPath() {
  Kit kit;
  ::unlink(kSocketPath);
  CHECK(!kit.link->open(kSocketPath));
  CHECK(!kit.link->isOpen());
  CHECK(!kit.link->open(std::string(108, 'x')));
  const int listener = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::string(kSocketPath).copy(address.sun_path, sizeof address.sun_path - 1);
  // NOLINTNEXTLINE: the API's own idiom
  CHECK_EQUAL(::bind(listener, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
  CHECK(!kit.link->open(kSocketPath));
  CHECK_EQUAL(::listen(listener, 1), 0);
  CHECK(kit.link->open(kSocketPath));
  kit.link->send(drain(1));
  kit.closeEnd();
  kit.fd = ::accept4(listener, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
  CHECK_EQUAL(kit.heard(), drain(1));
  kit.say(prepare(1, 0, "one"));
  kit.relay.loop.settle();
  CHECK_EQUAL(kit.heard(), kPrepared);
  CHECK_EQUAL(kit.host.losses, 0);
  ::close(listener);
  ::unlink(kSocketPath);
}

}  // namespace

int main() {
  actsOnChangesItself();
  answersDamagedChanges();
  answersWithALongError();
  actsOnAddresses();
  newerAddressesStay();
  givesOthersToTheHostOnePerTurn();
  readsFramesInAnyPieces();
  readsLargeFrames();
  tellsOfTheLossBehindWhatCame();
  leavesWhatItCannotTakeYet();
  actsOnOneChangePerTurn();
  hostMayCloseReplaceOrDestroyIt();
  waitsForASupervisorThatDoesNotRead();
  survivesFaults();
  opensByPath();
  return finishChecks();
}
