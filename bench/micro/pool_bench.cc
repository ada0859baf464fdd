// What taking a kept-alive connection and giving it back costs; most of it is the look at the
// socket before it is used again (recv with MSG_PEEK).
#include "micro.h"
#include "net/connection_pool.h"
#include "test/net/relay.h"

using namespace pointsman;
using namespace pointsman::bench;
using namespace pointsman::test;

namespace {

constexpr uint64_t kTimeoutMs = 60'000;

struct User final : public ConnectionUser {
  void onConnected(int failedWith) noexcept override { isConnected = failedWith == 0; }
  void onReadable() noexcept override {}
  void onWritable() noexcept override {}
  bool isConnected = false;
};

}  // namespace

int main() {
  Relay relay;
  FakeReplica replica(relay.loop);
  relay.setTargets({targetOf(replica)});
  ConnectionPool& pool = relay.pool();
  User user;
  Connection* connection = pool.acquire(user, kTimeoutMs, true).connection;
  if (connection == nullptr || !relay.loop.runUntil([&] { return user.isConnected; })) return 1;
  pool.release(*connection, true, kTimeoutMs);
  measure("pool, acquire and release", [&] {
    Connection* taken = pool.acquire(user, kTimeoutMs, false).connection;
    pool.release(*taken, true, kTimeoutMs);
    return taken == connection;
  });
}
