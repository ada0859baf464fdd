#include "front/front.h"

#include <ctime>

namespace pointsman {

namespace {

constexpr uint32_t kLocalConnectMs = 1'000;
// Below the ten seconds after which uWebSockets.js closes an idle connection.
constexpr uint32_t kLocalKeepaliveIdleMs = 5'000;

Ref<DeploymentSpec> makeLocalDeployment(Engine& engine, Connector& connector) {
  auto spec = makeRef<DeploymentSpec>();
  spec->name = "the worker's own JS";
  spec->protocol = Protocol::kLocal;
  spec->connectMs = kLocalConnectMs;
  spec->keepaliveIdleMs = kLocalKeepaliveIdleMs;
  // A connection that closes unanswered was closed unread.
  spec->replaySafe = true;
  spec->addresses = makeRef<AddressSet>(Protocol::kLocal);
  spec->addresses->setOnly(Address::createLocal(engine, connector));
  return spec;
}

}  // namespace

Front::Front(Engine& engine, Connector& connector, FrontHost& host, TokenCache& tokens,
             FrontSettings settings)
    : engine_(engine),
      host_(host),
      settings_(std::move(settings)),
      tokens_(tokens),
      local_(makeLocalDeployment(engine, connector)),
      readBuffer_(kClientFirstReadBytes) {}

Front::~Front() {
  engine_.loop().undefer(this);
}

bool Front::open(int fd, const sockaddr_storage& peer) noexcept {
  if (freeConnections_.empty()) {
    const auto index = static_cast<uint32_t>(connections_.size());
    connections_.push_back(std::make_unique<ClientConnection>(*this, index));
    freeConnections_.push_back(index);
  }
  ClientConnection& connection = *connections_[freeConnections_.back()];
  if (!connection.open(fd, peer)) return false;
  freeConnections_.pop_back();
  return true;
}

void Front::recycle(ClientConnection& connection) noexcept {
  freeConnections_.push_back(connection.index());
}

// The host is asked in a turn of its own: it may answer at once, and the connection is still being
// read.
void Front::park(ClientConnection& connection) {
  parked_.push_back(connection.index());
  engine_.loop().defer(this);
}

void Front::onDeferred() noexcept {
  std::vector<uint32_t> parked;
  parked.swap(parked_);
  for (const uint32_t index : parked) {
    const ClientConnection& connection = *connections_[index];
    if (!connection.isParked()) continue;
    host_.onUnknownToken(index, connection.generation(), connection.authorization());
  }
}

void Front::admit(uint32_t connection, uint32_t generation) noexcept {
  if (ClientConnection* parked = parkedConnection(connection, generation)) parked->admit();
}

void Front::reject(uint32_t connection, uint32_t generation, Refusal refusal) noexcept {
  if (ClientConnection* parked = parkedConnection(connection, generation)) parked->reject(refusal);
}

// nullptr when the client has left or waits no more.
ClientConnection* Front::parkedConnection(uint32_t index, uint32_t generation) noexcept {
  if (index >= connections_.size()) return nullptr;
  ClientConnection* connection = connections_[index].get();
  return connection->isParked() && connection->generation() == generation ? connection : nullptr;
}

uint32_t Front::busyConnections() const noexcept {
  uint32_t busy = 0;
  for (const auto& connection : connections_) busy += connection->isBusy() ? 1 : 0;
  return busy;
}

uint64_t Front::unixS() noexcept {
  timespec now{};
  clock_gettime(CLOCK_REALTIME_COARSE, &now);
  return static_cast<uint64_t>(now.tv_sec);
}

}  // namespace pointsman
