// The front of the data port: every connection of a client, its guard and its two doors.
//
//   accepted ─► ClientConnection ─► request parser ─┬─ invocation ─► native door
//                                                   └─ the rest ───► JS door
//
// The native door: token cache, lane of unknown tokens, pick, exchange with a replica. The JS door:
// an exchange with uWebSockets.js.
//
// The guard is the parser in strict use: nothing that is not one well-formed message gets past a
// ClientConnection. The JS door is one more address to the exchange engine: requests for it are
// written anew (origin-form, HTTP/1.1, validated fields, body re-framed) on one end of a socket
// pair whose other end uWebSockets.js serves. So it never sees a byte of a client's, shares no
// connection between two clients' messages at once, and needs no knowledge of its inner life.
// Thread: the loop's. Owns its connections; borrows engine, connector,
// token cache and host, which outlive it.
#pragma once

#include <sys/socket.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "core/byte_buffer.h"
#include "core/growing_array.h"
#include "front/answer_head.h"
#include "front/client_connection.h"
#include "front/refusal.h"
#include "front/token_cache.h"
#include "front/token_lane.h"
#include "net/engine.h"

namespace pointsman {

// Room for the head of any answer: the fields that are relayed, and our own.
constexpr size_t kAnswerHeadBytesMax = kAnswerFieldsBytesMax + 4 * 1024;
// Room for the body of any refusal: its text, and the names that are filled in.
constexpr size_t kRefusalBodyBytesMax = size_t{4} * 1024;
// Bytes taken off a client's connection at once: of a body that goes on, and of what begins with a
// head, so that a body of 64 KiB comes whole.
constexpr size_t kClientReadBytes = size_t{64} * 1024;
constexpr size_t kClientFirstReadBytes = kClientReadBytes + size_t{8} * 1024;

struct FrontSettings {
  std::string workspaceId;
  // Behind the endpoint's id in the host names of route-optimized endpoints; empty: none.
  std::string servingDomain{};
  bool authRequired = true;
  // False: every request takes the JS door.
  bool fastPath = true;
  uint64_t requestBytesMax = 0;
  size_t headBytesMax = 0;
  RefusalTexts refusals{};
};

// Who verifies tokens and hears of closed connections.
class FrontHost {
 public:
  // The token of a waiting connection. Answer with one of Front::admit, admitVerified and reject,
  // now or later. The front may be destroyed inside. `verified`: what the token says (JSON), as the
  // keys of the present trust version have proved; empty: not known.
  virtual void onUnknownToken(uint32_t connection, uint32_t generation,
                              std::string_view verified) noexcept = 0;
  // The front may be destroyed inside, or given another lane.
  virtual void onTokenLaneLost() noexcept = 0;
  virtual void onClientClosed() noexcept = 0;

 protected:
  ~FrontHost() = default;
};

class Front final : private Deferred, private TokenLaneHost {
 public:
  // `connector` opens connections to the JS door.
  Front(Engine& engine, Connector& connector, FrontHost& host, TokenCache& tokens,
        FrontSettings settings);
  ~Front();
  Front(const Front&) = delete;
  Front& operator=(const Front&) = delete;

  // Takes the accepted descriptor over. False: it was closed.
  bool open(int fd, const sockaddr_storage& peer) noexcept;
  // Connections are closed behind their next answer.
  void drain() noexcept { draining_ = true; }
  // The Authorization value of a connection that waits for a verdict; empty: it waits no more.
  std::string_view authorizationOf(uint32_t connection, uint32_t generation) noexcept;
  // By what the cache knows.
  void admit(uint32_t connection, uint32_t generation) noexcept;
  // By this verdict on its token, which the cache knows from now on; `proof` is what came with the
  // question, and of the trust version that it came under.
  void admitVerified(uint32_t connection, uint32_t generation, JudgedToken token,
                     TokenProof proof) noexcept;
  void reject(uint32_t connection, uint32_t generation, Refusal refusal) noexcept;
  // Unknown tokens take this way from now on; it is in place of the one before. False: the
  // descriptor, which is taken over, cannot be watched.
  bool openTokenLane(int fd) noexcept;
  // Nobody serves the lane: who waits for it is judged by the host.
  void closeTokenLane() noexcept;
  // See TokenLane.
  void setTrustVersion(uint32_t version) noexcept;
  // Connections with a request or an answer under way.
  uint32_t busyConnections() const noexcept;
  static uint64_t unixS() noexcept;

 private:
  friend class ClientConnection;
  void recycle(ClientConnection& connection) noexcept;
  ClientConnection* parkedConnection(uint32_t index, uint32_t generation) noexcept;
  void park(ClientConnection& connection) noexcept;
  void askAgain() noexcept;
  void onDeferred() noexcept override;
  void onTokenRefused(uint32_t connection, uint32_t generation) noexcept override;
  void onTokenUndecided(uint32_t connection, uint32_t generation) noexcept override;
  void onTokenPassed(uint32_t connection, uint32_t generation,
                     std::string_view verified) noexcept override;
  void onLaneLost() noexcept override;

  Engine& engine_;
  FrontHost& host_;
  FrontSettings settings_;
  TokenCache& tokens_;
  DateText date_;
  bool draining_ = false;
  // The JS door is no served entity: nobody reads its counters.
  EntityStats localStats_{};
  const Limit noLimit_{};
  Ref<DeploymentSpec> local_;
  std::vector<char> readBuffer_;
  // Reused by every answer and every refusal; with room for all of them, so that who gets no memory
  // can still be told.
  ByteBuffer head_;
  ByteBuffer body_;
  // Both of connections_; the free one that was used last comes first.
  ClientConnection* firstFree_ = nullptr;
  ClientConnection* firstParked_ = nullptr;
  ClientConnection* lastParked_ = nullptr;
  uint32_t trustVersion_ = 0;
  std::optional<TokenLane> lane_;
  // Of the onDeferred that asks the host, which may destroy the front meanwhile; else nullptr.
  bool* isGone_ = nullptr;
  // Last: they use all the rest to their end.
  GrowingArray<std::unique_ptr<ClientConnection>> connections_;
};

}  // namespace pointsman
