// The poller alone: what is told, to whom first, and that nothing that lies in a descriptor is
// forgotten although the kernel tells of it once.
#include "net/poller.h"

#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "test/check.h"

namespace {

using namespace pointsman;

struct Watcher final : public IoWatcher {
  void onIo(uint32_t events) noexcept override {
    told.push_back(events);
    if (onTold) onTold();
  }
  std::vector<uint32_t> told;
  std::function<void()> onTold;
};

struct Pair {
  Pair() { (void)socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds); }
  ~Pair() {
    close(fds[0]);
    if (fds[1] >= 0) close(fds[1]);
  }
  Pair(const Pair&) = delete;
  Pair& operator=(const Pair&) = delete;
  int near() const { return fds[0]; }
  void write(const std::string& bytes) const {
    CHECK_EQUAL(::write(fds[1], bytes.data(), bytes.size()), static_cast<ssize_t>(bytes.size()));
  }
  // At most `max` bytes; "" for the end, "-" for nothing there.
  std::string read(size_t max) const {
    std::string bytes(max, 0);
    const ssize_t got = ::read(fds[0], bytes.data(), max);
    if (got < 0) return "-";
    bytes.resize(static_cast<size_t>(got));
    return bytes;
  }
  void endFar() {
    close(fds[1]);
    fds[1] = -1;
  }
  int fds[2] = {-1, -1};
};

size_t turn(Poller& poller) {
  poller.collect(0);
  return poller.handOut();
}

void tellsOnceAndAgain() {
  Poller poller;
  const Pair pair;
  Watcher watcher;
  Loop::Watch* watch = poller.watch(pair.near(), kReadable, &watcher);
  CHECK_EQUAL(turn(poller), 0U);
  pair.write("abc");
  CHECK_EQUAL(turn(poller), 1U);
  CHECK_EQUAL(watcher.told.size(), 1U);
  CHECK_EQUAL(watcher.told[0], kReadable);
  // Left unread: not told again unless the watcher says so, and then once.
  CHECK_EQUAL(turn(poller), 0U);
  CHECK_EQUAL(pair.read(2), "ab");
  poller.readAgain(watch);
  poller.readAgain(watch);
  // What is to be read again does not let a turn wait.
  poller.collect(10'000);
  CHECK_EQUAL(poller.handOut(), 1U);
  CHECK_EQUAL(turn(poller), 0U);
  pair.write("d");
  CHECK_EQUAL(turn(poller), 1U);
  poller.unwatch(watch);
  CHECK_EQUAL(poller.size(), 0U);
}

// Quiet is what was looked at in this turn and has nothing to be read again.
void takesBack() {
  Poller poller;
  const Pair pair;
  const Pair other;
  Watcher watcher;
  Watcher asker;
  Loop::Watch* watch = poller.watch(pair.near(), kReadable, &watcher);
  Loop::Watch* asking = poller.watch(other.near(), kReadable, &asker);
  std::vector<bool> quiet;
  asker.onTold = [&] {
    poller.readAgain(watch);
    quiet.push_back(poller.takeBack(watch));
    quiet.push_back(poller.takeBack(watch));
  };
  other.write("x");
  turn(poller);
  CHECK((quiet == std::vector<bool>{false, true}));
  CHECK(!poller.takeBack(watch));
  CHECK_EQUAL(turn(poller), 0U);
  CHECK(watcher.told.empty());
  poller.unwatch(watch);
  poller.unwatch(asking);
}

// Pausing asks nothing of the kernel, so what came meanwhile is told when reading goes on.
void tellsWhatCameInAPause() {
  Poller poller;
  const Pair pair;
  Watcher watcher;
  Loop::Watch* watch = poller.watch(pair.near(), kReadable, &watcher);
  poller.change(watch, 0);
  pair.write("abc");
  turn(poller);
  CHECK(watcher.told.empty());
  poller.change(watch, kReadable);
  CHECK_EQUAL(turn(poller), 1U);
  CHECK_EQUAL(watcher.told.size(), 1U);
  // Queued while wanted, not wanted any more: kept for when it is.
  poller.change(watch, 0);
  poller.change(watch, kReadable);
  poller.change(watch, 0);
  CHECK_EQUAL(turn(poller), 0U);
  poller.change(watch, kReadable);
  CHECK_EQUAL(turn(poller), 1U);
  poller.unwatch(watch);
}

void tellsWhenThereIsRoomToWrite() {
  Poller poller;
  Pair pair;
  Watcher watcher;
  Loop::Watch* watch = poller.watch(pair.near(), kReadable, &watcher);
  const std::string block(size_t{64} * 1024, 'x');
  for (int round = 0; round < 2; round++) {
    while (write(pair.near(), block.data(), block.size()) > 0) {
    }
    poller.change(watch, kReadable | kWritable);
    watcher.told.clear();
    while (turn(poller) > 0) {
    }
    // The first time the kernel says what holds, later we ask once in vain.
    CHECK_EQUAL(watcher.told.size(), round == 0 ? 0U : 1U);
    watcher.told.clear();
    std::string taken(size_t{8} * 1024 * 1024, 0);
    while (read(pair.fds[1], taken.data(), taken.size()) > 0) {
    }
    turn(poller);
    CHECK_EQUAL(watcher.told.size(), 1U);
    CHECK((watcher.told[0] & kWritable) != 0);
    poller.change(watch, kReadable);
  }
  poller.unwatch(watch);
}

// The end lies behind bytes: one read takes those, a second one must follow.
void tellsTheEndBehindBytes() {
  for (const bool isPaused : {false, true}) {
    Poller poller;
    Pair pair;
    Watcher watcher;
    Loop::Watch* watch = poller.watch(pair.near(), isPaused ? 0 : kReadable, &watcher);
    std::vector<std::string> reads;
    watcher.onTold = [&] { reads.push_back(pair.read(100)); };
    pair.write("abc");
    pair.endFar();
    turn(poller);
    if (isPaused) poller.change(watch, kReadable);
    for (int i = 0; i < 3; i++) turn(poller);
    CHECK_EQUAL(reads.size(), 2U);
    CHECK_EQUAL(reads.front(), "abc");
    CHECK_EQUAL(reads.back(), "");
    poller.unwatch(watch);
  }
}

// However many reads lie between, and whether the watcher pauses in between.
void tellsTheEndBehindManyReads() {
  for (const bool pauses : {false, true}) {
    Poller poller;
    Pair pair;
    Watcher watcher;
    Loop::Watch* watch = poller.watch(pair.near(), kReadable, &watcher);
    std::vector<std::string> reads;
    watcher.onTold = [&] {
      reads.push_back(pair.read(4));
      if (pauses)
        poller.change(watch, 0);
      else if (reads.back().size() == 4)
        poller.readAgain(watch);
    };
    pair.write("abcdefghijklmn");
    pair.endFar();
    for (int i = 0; i < 8; i++) {
      turn(poller);
      if (pauses) poller.change(watch, kReadable);
    }
    const std::vector<std::string> expected{"abcd", "efgh", "ijkl", "mn", ""};
    CHECK(reads.size() >= expected.size());
    reads.resize(expected.size());
    CHECK(reads == expected);
    poller.unwatch(watch);
  }
}

void tellsTheIdleFirst() {
  for (const bool isFirst : {false, true}) {
    Poller poller;
    const Pair busy;
    const Pair idle;
    Watcher busyWatcher;
    Watcher idleWatcher;
    std::string order;
    busyWatcher.onTold = [&] { order += "b"; };
    idleWatcher.onTold = [&] { order += "i"; };
    Loop::Watch* first = poller.watch(busy.near(), kReadable, &busyWatcher);
    Loop::Watch* second = poller.watch(idle.near(), kReadable, &idleWatcher);
    if (isFirst) poller.change(second, kReadable | kFirst);
    busy.write("x");
    idle.write("x");
    CHECK_EQUAL(turn(poller), 2U);
    CHECK_EQUAL(order, isFirst ? "ib" : "bi");
    CHECK_EQUAL(idleWatcher.told[0], kReadable);
    poller.unwatch(first);
    poller.unwatch(second);
  }
}

// Watchers that end each other, and begin new watches, while events are handed out.
void endsInMidTurn() {
  Poller poller;
  std::vector<std::unique_ptr<Pair>> pairs;
  std::vector<std::unique_ptr<Watcher>> watchers;
  std::vector<Loop::Watch*> watches;
  size_t told = 0;
  const auto add = [&](const auto& self) -> void {
    pairs.push_back(std::make_unique<Pair>());
    watchers.push_back(std::make_unique<Watcher>());
    watches.push_back(poller.watch(pairs.back()->near(), kReadable, watchers.back().get()));
    pairs.back()->write("x");
    watchers.back()->onTold = [&, index = watches.size() - 1] {
      told++;
      // The whole of this turn but itself, then a crowd that makes the array of events grow.
      if (index != 0) return;
      for (size_t i = 1; i < watches.size(); i++) poller.unwatch(watches[i]);
      watches.resize(1);
      for (int i = 0; i < 300; i++) self(self);
    };
  };
  for (int i = 0; i < 40; i++) add(add);
  turn(poller);
  CHECK_EQUAL(told, 1U);
  turn(poller);
  CHECK_EQUAL(told, 301U);
  for (Loop::Watch* watch : watches) poller.unwatch(watch);
  CHECK_EQUAL(poller.size(), 0U);
}

// Somebody else's descriptor is told for as long as it has something.
void tellsLevels() {
  Poller poller;
  const int fd = eventfd(1, EFD_NONBLOCK | EFD_CLOEXEC);
  Watcher watcher;
  Loop::Watch* watch = poller.watchLevel(fd, &watcher);
  for (int i = 0; i < 3; i++) CHECK_EQUAL(turn(poller), 1U);
  eventfd_t value = 0;
  CHECK_EQUAL(eventfd_read(fd, &value), 0);
  CHECK_EQUAL(turn(poller), 0U);
  poller.unwatch(watch);
  CHECK(poller.watch(-1, kReadable, &watcher) == nullptr);
  close(fd);
}

}  // namespace

int main() {
  tellsOnceAndAgain();
  takesBack();
  tellsWhatCameInAPause();
  tellsWhenThereIsRoomToWrite();
  tellsTheEndBehindBytes();
  tellsTheEndBehindManyReads();
  tellsTheIdleFirst();
  endsInMidTurn();
  tellsLevels();
  return pointsman::test::finishChecks();
}
