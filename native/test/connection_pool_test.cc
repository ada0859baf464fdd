// The pool alone: who gets which connection, and when one is closed.
#include "net/connection_pool.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <deque>
#include <string>
#include <vector>

#include "net/socket_buffers.h"
#include "test/check.h"
#include "test/net/faults.h"
#include "test/net/relay.h"

namespace {

using namespace pointsman;
using namespace pointsman::test;

constexpr uint64_t kConnectMs = 1'000;
constexpr uint64_t kIdleMs = 4'000;

struct User final : public ConnectionUser {
  void onConnected(int failedWith) noexcept override {
    connected++;
    error = failedWith;
  }
  void onReadable() noexcept override { readable++; }
  void onWritable() noexcept override { writable++; }
  uint32_t connected = 0;
  uint32_t readable = 0;
  uint32_t writable = 0;
  int error = -1;
};

struct PoolTest {
  PoolTest() : replica(relay.loop) { relay.setTargets({targetOf(replica)}); }

  // A connection that is up.
  Connection* connect(User& user) {
    const auto acquired = relay.pool().acquire(user, kConnectMs, true);
    if (!CHECK(acquired.connection != nullptr)) return nullptr;
    const size_t before = replica.connectionCount();
    CHECK(relay.loop.runUntil(
        [&] { return user.connected == 1 && replica.connectionCount() == before + 1; }));
    CHECK_EQUAL(user.error, 0);
    CHECK(acquired.connection->state() == Connection::State::kBusy);
    return acquired.connection;
  }

  Relay relay;
  FakeReplica replica;
};

void reusesLastFirst() {
  PoolTest test;
  ConnectionPool& pool = test.relay.pool();
  std::deque<User> users(3);
  std::vector<Connection*> made;
  for (User& user : users) made.push_back(test.connect(user));
  for (Connection* connection : made) {
    CHECK(!connection->reused());
    pool.release(*connection, true, kIdleMs);
  }
  CHECK_EQUAL(pool.idleCount(), 3U);
  User user;
  for (size_t i = 3; i-- > 0;) {
    const auto acquired = pool.acquire(user, kConnectMs, false);
    CHECK(acquired.connection == made[i]);
    CHECK(acquired.connection->reused());
    CHECK(acquired.connection->state() == Connection::State::kBusy);
  }
  CHECK_EQUAL(pool.idleCount(), 0U);
  CHECK_EQUAL(user.connected, 0U);
  // `fresh` passes idle ones by.
  pool.release(*made[0], true, kIdleMs);
  const auto fresh = pool.acquire(user, kConnectMs, true);
  CHECK(fresh.connection != made[0]);
  CHECK_EQUAL(pool.idleCount(), 1U);
  pool.release(*fresh.connection, true, kIdleMs);
  CHECK_EQUAL(pool.idleCount(), 1U);
  pool.release(*made[1], false, kIdleMs);
  pool.release(*made[2], false, kIdleMs);
  CHECK_EQUAL(pool.openCount(), 1U);
}

void evictsIdle() {
  PoolTest test;
  ConnectionPool& pool = test.relay.pool();
  std::deque<User> users(2);
  Connection* old = test.connect(users[0]);
  Connection* young = test.connect(users[1]);
  pool.release(*old, true, kIdleMs);
  test.relay.loop.advance(kIdleMs / 2);
  pool.release(*young, true, kIdleMs);
  test.relay.loop.advance(kIdleMs / 2 + 2 * kTickMs);
  CHECK_EQUAL(pool.idleCount(), 1U);
  CHECK(test.relay.loop.runUntil([&] { return test.replica.connection(0).isPeerGone(); }));
  CHECK(!test.replica.connection(1).isPeerGone());
  test.relay.loop.advance(kIdleMs / 2);
  CHECK_EQUAL(pool.openCount(), 0U);
  CHECK(test.relay.loop.runUntil([&] { return test.replica.connection(1).isPeerGone(); }));
  CHECK(!test.relay.loop.isTicking());
}

// Whatever arrives on an idle connection ends it, whether the loop or the next acquire finds it
// first.
void discardsDirtyIdle() {
  for (const bool isFoundByLoop : {true, false}) {
    for (const auto& dirt : {send("x"), finish(), closeBoth(), reset()}) {
      PoolTest test;
      ConnectionPool& pool = test.relay.pool();
      User user;
      Connection* connection = test.connect(user);
      pool.release(*connection, true, kIdleMs);
      if (isFoundByLoop) {
        test.replica.last().append({dirt});
        CHECK(test.relay.loop.runUntil([&] { return pool.openCount() == 0; }));
      } else {
        // It is there when the connection is asked for, but the loop has not told yet.
        pollfd waiting{.fd = connection->fd(), .events = POLLIN, .revents = 0};
        test.replica.last().appendNow({dirt});
        CHECK_EQUAL(poll(&waiting, 1, EpollLoop::kPatienceMs), 1);
        CHECK_EQUAL(pool.idleCount(), 1U);
      }
      User next;
      const auto acquired = pool.acquire(next, kConnectMs, false);
      CHECK(acquired.connection != nullptr && acquired.connection != connection);
      CHECK(acquired.connection->state() == Connection::State::kConnecting);
      CHECK_EQUAL(pool.openCount(), 1U);
      pool.release(*acquired.connection, false, 0);
      CHECK_EQUAL(user.readable, 0U);
    }
  }
}

// A request comes in the same turn as the dirt, and earlier in the kernel's order.
void findsDirtBeforeTheRequest() {
  struct Requester final : public IoWatcher {
    void onIo(uint32_t /*events*/) noexcept override {
      idleThen = static_cast<int>(pool->idleCount());
      acquired = pool->acquire(user, kConnectMs, false).connection;
    }
    ConnectionPool* pool = nullptr;
    User user;
    Connection* acquired = nullptr;
    int idleThen = -1;
  };
  for (const bool isDirty : {false, true}) {
    PoolTest test;
    User user;
    Connection* connection = test.connect(user);
    test.relay.pool().release(*connection, true, kIdleMs);
    test.relay.loop.settle();
    Requester requester;
    requester.pool = &test.relay.pool();
    const int fd = eventfd(1, EFD_NONBLOCK | EFD_CLOEXEC);
    Loop::Watch* watch = test.relay.loop.watch(fd, kReadable, &requester);
    if (isDirty) {
      pollfd waiting{.fd = connection->fd(), .events = POLLIN, .revents = 0};
      test.replica.last().appendNow({send("x")});
      CHECK_EQUAL(poll(&waiting, 1, EpollLoop::kPatienceMs), 1);
    }
    test.relay.loop.turn();
    CHECK_EQUAL(requester.idleThen, isDirty ? 0 : 1);
    CHECK(requester.acquired != nullptr && (requester.acquired == connection) != isDirty);
    test.relay.loop.unwatch(watch);
    close(fd);
    test.relay.pool().release(*requester.acquired, false, 0);
  }
}

// What was released in this turn has not been looked at yet: others are taken before it.
void takesLookedAtBeforeReleasedNow() {
  PoolTest test;
  ConnectionPool& pool = test.relay.pool();
  std::deque<User> users(2);
  Connection* early = test.connect(users[0]);
  Connection* late = test.connect(users[1]);
  pool.release(*early, true, kIdleMs);
  test.relay.loop.settle();
  pool.release(*late, true, kIdleMs);
  User next;
  CHECK(pool.acquire(next, kConnectMs, false).connection == early);
  CHECK(pool.acquire(next, kConnectMs, false).connection == late);
  pool.release(*early, false, 0);
  pool.release(*late, false, 0);
}

void reportsConnectFailures() {
  Relay relay;
  const RefusingPort refusing;
  relay.setTargets({targetOf(refusing)});
  User user;
  const auto acquired = relay.pool().acquire(user, kConnectMs, false);
  if (acquired.connection != nullptr) {
    CHECK(relay.loop.runUntil([&] { return user.connected == 1; }));
    CHECK_EQUAL(user.error, ECONNREFUSED);
  } else {
    CHECK_EQUAL(acquired.failedWith, ECONNREFUSED);
  }
  CHECK_EQUAL(relay.pool().openCount(), 0U);
  CHECK_EQUAL(relay.address(0).stats().connectFailures, 1U);
  for (const int error : {EMFILE, ENFILE, ENOBUFS, ENOMEM}) {
    setFault("socket", 1, error);
    const auto refused = relay.pool().acquire(user, kConnectMs, false);
    CHECK(refused.connection == nullptr);
    CHECK_EQUAL(refused.failedWith, error);
  }
  clearFaults();
}

void timesOutConnecting() {
  Relay relay;
  // A backlog of 0 takes one connection; what comes later waits for its SYN to be answered.
  FakeReplica replica(relay.loop, 0);
  replica.stopAccepting();
  relay.setTargets({targetOf(replica)});
  std::deque<User> users(4);
  std::vector<Connection*> made;
  for (User& user : users) made.push_back(relay.pool().acquire(user, kConnectMs, true).connection);
  relay.loop.settle();
  relay.loop.advance(kConnectMs - kTickMs);
  size_t waiting = 0;
  for (const User& user : users) waiting += user.connected == 0 ? 1 : 0;
  CHECK(waiting > 0);
  relay.loop.advance(3 * kTickMs);
  for (const User& user : users) {
    CHECK_EQUAL(user.connected, 1U);
    CHECK(user.error == 0 || user.error == ETIMEDOUT);
  }
  CHECK_EQUAL(relay.pool().openCount(), users.size() - waiting);
  CHECK_EQUAL(relay.address(0).stats().connectFailures, waiting);
  for (size_t i = 0; i < users.size(); i++) {
    if (users[i].error == 0) relay.pool().release(*made[i], false, 0);
  }
}

void keepsLimits() {
  PoolTest test;
  ConnectionPool& pool = test.relay.pool();
  constexpr size_t kMany = kIdleConnectionsPerAddressMax + 8;
  std::deque<User> users(kMany);
  std::vector<Connection*> made;
  for (User& user : users) made.push_back(test.connect(user));
  for (Connection* connection : made) pool.release(*connection, true, kIdleMs);
  CHECK_EQUAL(pool.idleCount(), kIdleConnectionsPerAddressMax);
  CHECK_EQUAL(pool.openCount(), kIdleConnectionsPerAddressMax);
  pool.drain();
  CHECK_EQUAL(pool.openCount(), 0U);
  // A drained pool lends still, for requests on their way, but keeps nothing.
  User late;
  Connection* last = test.connect(late);
  pool.release(*last, true, kIdleMs);
  CHECK_EQUAL(pool.openCount(), 0U);
}

void releasesWhileConnecting() {
  PoolTest test;
  User user;
  const size_t before = openDescriptors();
  const auto acquired = test.relay.pool().acquire(user, kConnectMs, true);
  test.relay.pool().release(*acquired.connection, false, 0);
  CHECK_EQUAL(openDescriptors(), before);
  test.relay.loop.settle();
  test.relay.loop.advance(kConnectMs * 2);
  CHECK_EQUAL(user.connected, 0U);
  CHECK_EQUAL(test.relay.pool().openCount(), 0U);
}

void watchesWhatIsAsked() {
  PoolTest test;
  User user;
  Connection* connection = test.connect(user);
  test.replica.last().append({send("hello")});
  CHECK(test.relay.loop.runUntil([&] { return user.readable > 0; }));
  CHECK_EQUAL(user.writable, 0U);
  connection->watchFor(0);
  const uint32_t readable = user.readable;
  test.relay.loop.settle();
  CHECK_EQUAL(user.readable, readable);
  connection->watchFor(kWritable);
  CHECK(test.relay.loop.runUntil([&] { return user.writable > 0; }));
  CHECK_EQUAL(user.readable, readable);
  test.relay.pool().release(*connection, false, 0);
}

int windowBytes(int fd) {
  int doubled = 0;
  socklen_t size = sizeof doubled;
  CHECK_EQUAL(getsockopt(fd, SOL_SOCKET, SO_RCVBUF, &doubled, &size), 0);
  return doubled / 2;
}

// The kernel makes it as large for a connection that is read fast.
void boundsGrownWindow() {
  PoolTest test;
  User user;
  Connection* connection = test.connect(user);
  const int grown = 2 * kReplicaWindowBytesMax;
  CHECK_EQUAL(setsockopt(connection->fd(), SOL_SOCKET, SO_RCVBUF, &grown, sizeof grown), 0);
  // Less than that where net.core.rmem_max is.
  const int before = windowBytes(connection->fd());
  std::vector<char> buffer(size_t{128} * 1024);
  const auto receive = [&](size_t bytes) {
    test.replica.last().append({send(std::string(bytes, 'x'))});
    size_t received = 0;
    return test.relay.loop.runUntil([&] {
      const ssize_t got = connection->receive(buffer);
      if (got > 0) received += static_cast<size_t>(got);
      return received == bytes;
    });
  };
  CHECK(receive(kBytesPerWindowLook - 1));
  CHECK_EQUAL(windowBytes(connection->fd()), before);
  CHECK(receive(1));
  CHECK_EQUAL(windowBytes(connection->fd()), std::min(before, kReplicaWindowBytesMax));
  test.relay.pool().release(*connection, false, 0);
}

}  // namespace

int main() {
  const size_t descriptors = openDescriptors();
  reusesLastFirst();
  evictsIdle();
  discardsDirtyIdle();
  findsDirtBeforeTheRequest();
  takesLookedAtBeforeReleasedNow();
  reportsConnectFailures();
  timesOutConnecting();
  keepsLimits();
  releasesWhileConnecting();
  watchesWhatIsAsked();
  boundsGrownWindow();
  CHECK_EQUAL(openDescriptors(), descriptors);
  return finishChecks();
}
