// One relayed request: from a picked deployment to a complete answer, a failure or a cancel.
//
//   Queued ─► Connecting ─► AwaitingHead ─► Body ─► Done  (front door told once: end, or failure)
//     │           │  ▲           │            │
//     │           │  └─ another address: nothing was sent yet, or a replay is allowed
//     └───────────┴──────────────┴────────────┴──► Done   (failure, cancel)
//
// Queued only where a limit has no place for it now; the place that it gets is held to the end,
// through all attempts. Who was let in by a token and a revision that do not hold any more when the
// wait is over goes on by the door's leave (Admitted, between Queued and Connecting). What comes of
// the body meanwhile waits like that for a slow replica. Both bodies stream. Request bytes that the
// replica does not take wait in `out_` and the door is asked to pause past kRequestBufferBytesMax;
// answer bytes are handed over as they are read, and while the door says "pause" nothing is read.
// Rules of retrying: an attempt that failed before a byte of the request was written goes to
// another address, any method, within the retry budget (retry_budget.h). A reused connection that
// closes without one byte of answer is replayed once, on a fresh connection, only if the method is
// idempotent or the deployment says replay_safe, and only while the whole request is still held
// (kReplayBytesMax). Never after a timeout. How every attempt went is reported to the address set,
// once (verdict.h).
//
// Memory may run out at any step: the exchange then fails with kOutOfMemory or, where it was about
// to make another attempt, with what ended the one before.
//
// Calls from the door never call the door back: what they cause is reported in the next turn of the
// loop.
// Thread: the loop's. Owned by the engine, which recycles it after Done.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string_view>

#include "core/byte_buffer.h"
#include "core/entity_stats.h"
#include "core/growing_array.h"
#include "http1/response_parser.h"
#include "net/admission.h"
#include "net/connection_pool.h"
#include "net/deployment.h"
#include "net/loop.h"
#include "net/ref.h"
#include "net/request_head.h"
#include "net/routing_table.h"
#include "net/timer_wheel.h"
#include "net/token_grant.h"

namespace pointsman {

// Request bytes held for a slow replica before the door is asked to pause.
constexpr size_t kRequestBufferBytesMax = size_t{128} * 1024;
// Requests up to this size (head and body) can be replayed.
constexpr size_t kReplayBytesMax = size_t{64} * 1024;
// Bytes read from a replica at once; also the most that one answer event carries.
constexpr size_t kReadBufferBytes = size_t{128} * 1024;
// What the fields of an answer may take that the parser has passed, written as "name: value\r\n".
constexpr size_t kAnswerFieldsBytesMax = kResponseHeadBytesMax + kResponseFieldsMax;
// Reads per readable event, so that one fast stream does not starve the others.
constexpr int kReadsPerEventMax = 4;

// Why an exchange has no (complete) answer. Same numbers in src/native/contract.ts.
enum class Failure : uint8_t {
  kNone = 0,
  kNoReadyAddress = 1,         // 503
  kConnectFailed = 2,          // 503: every address tried refused or was unreachable
  kConnectTimeout = 3,         // 503
  kConnectionLimit = 4,        // 503: descriptors, ports or kConnectionsPerAddressMax
  kClosedBeforeAnswer = 5,     // 502
  kBadAnswer = 6,              // 502: not HTTP/1.x as RFC 9112 has it
  kResponseHeaderTimeout = 7,  // 504
  kTotalTimeout = 8,           // 504
  kTruncated = 9,              // the answer broke off in its body
  kBodyIdleTimeout = 10,       // no byte of the body for body_idle_ms
  kBadRequest = 11,            // 400: fields that cannot be forwarded
  kOutOfMemory = 12,           // 503: the worker has no memory for the request
  kLoop = 13,                  // 508: more than kHopsMax pointsmans have had it
  // 429: no place under a limit and no queue; a full queue; no place in queueMs.
  kDeploymentLimit = 20,
  kDeploymentQueueFull = 21,
  kDeploymentQueueTimeout = 22,
  kEntityLimit = 23,
  kEntityQueueFull = 24,
  kEntityQueueTimeout = 25,
};

// HTTP status that answers a failure before the head was relayed.
int statusOf(Failure failure) noexcept;

// What one read brought. Views are valid during the call only.
struct AnswerEvent {
  bool hasHead = false;
  bool end = false;
  int status = 0;
  // -1: unknown (chunked or until close). For HEAD the replica's Content-Length.
  int64_t contentLength = -1;
  bool bodyAllowed = true;
  // End-to-end fields, "name: value\r\n"*.
  std::string_view fields;
  // Lies in the engine's read buffer.
  std::string_view body;
};

class Exchange;

// A front door. After `onFailure` or an event with `end` the exchange is gone for the door.
class Door {
 public:
  virtual void onAnswer(Exchange& exchange, const AnswerEvent& event) noexcept = 0;
  virtual void onFailure(Exchange& exchange, Failure failure, bool headRelayed) noexcept = 0;
  // The replica took what waited: request bytes are welcome again.
  virtual void onRequestDrain(Exchange& exchange) noexcept = 0;
  // It has a place after a wait in which its claim may have been lost: to be judged again, and then
  // to `proceed` or be cancelled, now or later.
  virtual void onClaimDoubtful(Exchange& exchange) noexcept = 0;

 protected:
  ~Door() = default;
};

// What the right to be relayed rests on.
struct Claim {
  JudgedToken token;
  Ref<const EndpointRoutes> endpoint;
};

class Exchange final : private ConnectionUser, private Timer, private Deferred, private Ticket {
 public:
  Exchange(Engine& engine, uint32_t id) noexcept : engine_(engine), id_(id) {}

  uint32_t id() const noexcept { return id_; }

  // `stats` and `limit` are the served entity's; `stats` outlives the exchange. Everything in
  // `head` is copied.
  void start(Door& door, Ref<DeploymentSpec> deployment, EntityStats& stats, const Limit& limit,
             const RequestHead& head, std::string_view body, bool last) noexcept;
  // It waits under a limit.
  bool isQueued() const noexcept { return state_ == State::kQueued; }
  // For one that waits: without a claim it goes on whatever changes meanwhile.
  void setClaim(const JudgedToken& token, const EndpointRoutes& endpoint) noexcept {
    claim_ = Claim{.token = token, .endpoint = Ref<const EndpointRoutes>(&endpoint)};
  }
  // Empty unless it waits, or waits to be judged again.
  const std::optional<Claim>& claim() const noexcept { return claim_; }
  // After `onClaimDoubtful`.
  void proceed() noexcept;
  // Answers the bytes that wait for the replica; past kRequestBufferBytesMax the door should pause.
  size_t sendBody(std::string_view body, bool last) noexcept;
  void pauseAnswer() noexcept;
  void resumeAnswer() noexcept;
  // The client is gone. No call to the door follows.
  void cancel() noexcept;
  bool live() const noexcept { return state_ != State::kFree && state_ != State::kDone; }

 private:
  friend class Engine;
  enum class State : uint8_t {
    kFree,
    kQueued,
    kAdmitted,
    kConnecting,
    kAwaitingHead,
    kBody,
    kDone
  };

  void onConnected(int failedWith) noexcept override;
  void onReadable() noexcept override;
  void onWritable() noexcept override;
  void onTimeout() noexcept override;
  void onDeferred() noexcept override;
  void onAdmitted() noexcept override;

  void copyHead(const RequestHead& head) noexcept;
  bool isOutOfMemory() const noexcept;
  bool isClaimGood() noexcept;
  void admit(const Limit& entityLimit) noexcept;
  void dispatch() noexcept;
  void attempt() noexcept;
  bool useAddress(uint32_t index) noexcept;
  bool useOtherAddress() noexcept;
  void beginSending() noexcept;
  bool appendBody(std::string_view body, bool last) noexcept;
  void flush() noexcept;
  ssize_t sendWaiting() noexcept;
  size_t waitingBytes() const noexcept;
  void feed(char* data, size_t size) noexcept;
  bool takeHead(AnswerEvent& event) noexcept;
  void onClosed(bool broken) noexcept;
  bool retry() noexcept;
  void fail(Failure failure) noexcept;
  void failLater(Failure failure) noexcept;
  void finish(int status, bool reusable) noexcept;
  void judge(Verdict verdict) noexcept;
  uint64_t deadlineIn(uint32_t ms) const noexcept;
  void armPhase(uint32_t phaseMs) noexcept;
  void armReplica() noexcept;
  bool waitsForClient() const noexcept;
  void watch() noexcept;
  void reportDrain() noexcept;
  bool isLocal() const noexcept { return deployment_->protocol == Protocol::kLocal; }
  void reset() noexcept;

  Engine& engine_;
  const uint32_t id_;
  // The revision it was dispatched under; set by the engine.
  uint64_t revision_ = 0;
  State state_ = State::kFree;
  Failure failLater_ = Failure::kNone;
  bool answerPaused_ = false;
  bool doorPaused_ = false;
  bool chunkedRequest_ = false;
  bool requestComplete_ = false;
  // Everything from the first byte on is still in out_.
  bool replayable_ = false;
  bool replayed_ = false;
  bool idempotent_ = false;
  bool headMethod_ = false;
  bool isNative_ = false;
  bool wrote_ = false;
  bool sendBroken_ = false;
  bool answered_ = false;
  bool headRelayed_ = false;
  bool hasRetryAfter_ = false;
  int status_ = 0;
  // Of Content-Length; what the door has still to bring.
  uint64_t requestBytesLeft_ = 0;
  uint64_t startedUs_ = 0;
  uint64_t attemptedMs_ = 0;
  uint64_t totalDeadlineMs_ = 0;
  // Borrowed: the door outlives its exchanges; the pool owns the connection; stats live in the
  // engine.
  Door* door_ = nullptr;
  Connection* connection_ = nullptr;
  EntityStats* stats_ = nullptr;
  Ref<DeploymentSpec> deployment_;
  std::optional<Claim> claim_;
  // Holds the address beyond a change of the set.
  Ref<Address> address_;
  // Addresses that failed; held, so that a new one never looks like an old one.
  GrowingArray<Ref<Address>> tried_;
  ResponseParser parser_;
  ByteBuffer method_;
  ByteBuffer query_;
  // Of a local deployment's requests only; others go to the address's own target.
  ByteBuffer path_;
  // Request line and Host of this attempt; the rest of the request, the same for every attempt.
  ByteBuffer prefix_;
  ByteBuffer out_;
  size_t prefixSent_ = 0;
  size_t outSent_ = 0;
  // In the engine's list of free ones.
  Exchange* nextFree_ = nullptr;
};

}  // namespace pointsman
