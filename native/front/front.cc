#include "front/front.h"

#include <ctime>
#include <new>
#include <utility>

#include "net/sys.h"

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
      readBuffer_(kClientFirstReadBytes) {
  head_.reserve(kAnswerHeadBytesMax);
  body_.reserve(kRefusalBodyBytesMax);
}

Front::~Front() {
  if (isGone_ != nullptr) *isGone_ = true;
  engine_.loop().undefer(this);
}

bool Front::open(int fd, const sockaddr_storage& peer) noexcept {
  if (firstFree_ == nullptr) {
    const auto index = static_cast<uint32_t>(connections_.size());
    std::unique_ptr<ClientConnection> made(new (std::nothrow) ClientConnection(*this, index));
    if (made == nullptr || !connections_.add(std::move(made))) {
      sys::close(fd);
      return false;
    }
    firstFree_ = connections_.back().get();
  }
  ClientConnection& connection = *firstFree_;
  if (!connection.open(fd, peer)) return false;
  firstFree_ = std::exchange(connection.nextFree_, nullptr);
  return true;
}

void Front::recycle(ClientConnection& connection) noexcept {
  connection.nextFree_ = std::exchange(firstFree_, &connection);
}

// The host is asked in a turn of its own: it may answer at once, and the connection is still being
// read.
void Front::park(ClientConnection& connection) noexcept {
  engine_.loop().defer(this);
  if (connection.isListedAsParked_) return;
  connection.isListedAsParked_ = true;
  (lastParked_ != nullptr ? lastParked_->nextParked_ : firstParked_) = &connection;
  lastParked_ = &connection;
}

void Front::onDeferred() noexcept {
  ClientConnection* next = std::exchange(firstParked_, nullptr);
  lastParked_ = nullptr;
  bool isGone = false;
  isGone_ = &isGone;
  while (next != nullptr) {
    ClientConnection& connection = *next;
    next = std::exchange(connection.nextParked_, nullptr);
    connection.isListedAsParked_ = false;
    if (!connection.isParked()) continue;
    const uint32_t index = connection.index();
    const uint32_t generation = connection.nextQuestion();
    const std::string_view authorization = connection.authorization();
    // No flood may stand before what was good once; mostly it costs no look at the signature.
    if (!lane_ || !lane_->isOpen() || tokens_.wasGood(authorization)) {
      host_.onUnknownToken(index, generation, tokens_.proofOf(authorization, trustVersion_));
    } else if (!lane_->ask(index, generation, authorization)) {
      connection.reject(Refusal::kNoVerdict);
    }
    if (isGone) return;
  }
  isGone_ = nullptr;
  if (lane_) lane_->flush();
}

bool Front::openTokenLane(int fd) noexcept {
  closeTokenLane();
  TokenLaneHost& host = *this;
  lane_.emplace(engine_.loop(), engine_.wheel(), host, fd);
  lane_->setTrustVersion(trustVersion_);
  return lane_->isOpen();
}

void Front::setTrustVersion(uint32_t version) noexcept {
  trustVersion_ = version;
  if (lane_) lane_->setTrustVersion(version);
}

void Front::onTokenRefused(uint32_t connection, uint32_t generation) noexcept {
  reject(connection, generation, Refusal::kTokenInvalid);
}

void Front::onTokenPassed(uint32_t connection, uint32_t generation,
                          std::string_view verified) noexcept {
  if (parkedConnection(connection, generation) == nullptr) return;
  host_.onUnknownToken(connection, generation, verified);
}

void Front::onTokenUndecided(uint32_t connection, uint32_t generation) noexcept {
  reject(connection, generation, Refusal::kNoVerdict);
}

void Front::onLaneLost() noexcept {
  askAgain();
  host_.onTokenLaneLost();
}

void Front::closeTokenLane() noexcept {
  if (!lane_ || !lane_->isOpen()) return;
  lane_->close();
  askAgain();
}

void Front::askAgain() noexcept {
  for (const auto& connection : connections_) {
    if (connection->isParked()) park(*connection);
  }
}

std::string_view Front::authorizationOf(uint32_t connection, uint32_t generation) noexcept {
  const ClientConnection* parked = parkedConnection(connection, generation);
  return parked == nullptr ? std::string_view() : parked->authorization();
}

void Front::admitVerified(uint32_t connection, uint32_t generation, JudgedToken token,
                          TokenProof proof) noexcept {
  ClientConnection* parked = parkedConnection(connection, generation);
  if (parked == nullptr) return;
  tokens_.insert(parked->authorization(), token.epoch, token.expiresAtMs, std::move(token.grant),
                 std::move(proof));
  parked->admit();
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
