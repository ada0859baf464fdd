// One connection of a client, from its accept to its end.
//
//              first byte            head complete           exchange started
//   kIdle ───────────────► kHead ──────────┬──────────────────────┬──► kRelaying ──┐
//     ▲                      │             ▼ token unknown        │                │
//     │                      │          kParked ──────────────────┘                │
//     │                      ▼ refused                                             │
//     │                  kRelaying (the answer is the front's own)                 │
//     │ answer written, request read, connection persists                          │
//     └────────────────────────────────────────────────────────────────────────────┤
//                                           connection ends: kLingering ─► kClosed ◄┘
//
// One message at a time: what follows a request waits, in a buffer of at most kPendingBytesMax and
// then in the kernel, until the answer before it is written to its last byte. A message that cannot
// be read without doubt is refused before anything behind the front sees a part of it, and the
// connection ends: writing is shut down, and what still comes is dropped for a while, so that the
// refusal is not lost to a reset (RFC 9112, 9.6).
//
// Memory: the kernel's buffers, the head (max_header_bytes), kPendingBytesMax, and of the answer
// what one read of a replica brought (128 KiB); the request's body waits in the exchange. Where
// there is none to be had, the request is answered with 503, or the connection is broken off if its
// answer was begun; requests behind it whose bytes were lost are not answered any more.
//
// A FIN from a client that is owed an answer means that it has left. Thread: the loop's. Owned by
// the front, which recycles it.
#pragma once

#include <netinet/in.h>
#include <sys/socket.h>

#include <array>
#include <cstdint>
#include <string_view>

#include "core/byte_buffer.h"
#include "front/answer_head.h"
#include "front/refusal.h"
#include "http1/request_parser.h"
#include "net/engine.h"
#include "net/loop.h"
#include "net/timer_wheel.h"
#include "net/token_grant.h"

namespace pointsman {

class Front;
struct InvocationPath;

// Bytes behind a request that are taken off the kernel while its answer is under way.
constexpr size_t kPendingBytesMax = size_t{64} * 1024;
// A refused request's body up to this size is read and dropped so that the connection can live on.
constexpr uint64_t kDroppedBodyBytesMax = uint64_t{64} * 1024;
// What is dropped of a connection that is being ended, and how long it stays after its last answer.
constexpr size_t kLingerBytesMax = size_t{256} * 1024;
constexpr uint64_t kLingerMs = 2'000;
// From the first byte of a head to its last.
constexpr uint64_t kHeadMs = 10'000;
// How long a token's verification may take.
constexpr uint64_t kVerdictMs = 10'000;
// Fields of a request's head; as many as the JS door can take.
constexpr uint32_t kClientFieldsMax = 96;
// A body must bring so much in every window, or the request is given up with 408.
constexpr uint64_t kBodyWindowMs = 10'000;
constexpr uint64_t kBodyWindowBytesMin = 4'096;
// An answer of which the client takes nothing for so long is broken off.
constexpr uint64_t kWriteStallMs = 30'000;
// Above the 60 s after which common load balancers close.
constexpr uint64_t kClientIdleMs = 75'000;

class ClientConnection final : public Door, private IoWatcher, private Timer, private Deferred {
 public:
  ClientConnection(Front& front, uint32_t index) noexcept;
  ~ClientConnection();

  // Takes the descriptor over. False, with the descriptor closed, when it cannot be watched.
  bool open(int fd, const sockaddr_storage& peer) noexcept;
  bool isOpen() const noexcept { return state_ != State::kClosed; }
  // A request is under way, or its answer is not written yet.
  bool isBusy() const noexcept { return state_ != State::kIdle && state_ != State::kClosed; }
  uint32_t index() const noexcept { return index_; }
  // Tells this use of the object, and what it asks the host, from those before.
  uint32_t generation() const noexcept { return generation_; }
  // A verdict on an earlier question is nobody's from now on.
  uint32_t nextQuestion() noexcept { return ++generation_; }
  std::string_view authorization() const noexcept { return parser_.authorization(); }
  bool isParked() const noexcept { return state_ == State::kParked; }

  // The verdict on the token of a parked connection.
  void admit() noexcept;
  void reject(Refusal refusal) noexcept;
  // Ends it at once, without a word.
  void close() noexcept;

  void onAnswer(Exchange& exchange, const AnswerEvent& event) noexcept override;
  void onFailure(Exchange& exchange, Failure failure, bool headRelayed) noexcept override;
  void onRequestDrain(Exchange& exchange) noexcept override;
  void onClaimDoubtful(Exchange& exchange) noexcept override;

 private:
  friend class Front;
  enum class State : uint8_t { kIdle, kHead, kParked, kRelaying, kLingering, kClosed };
  // What becomes of a request whose head was read.
  enum class Route : uint8_t { kNone, kInvocation, kLocal };

  void onIo(uint32_t events) noexcept override;
  void onTimeout() noexcept override;
  void onDeferred() noexcept override;

  void onReadable() noexcept;
  void onWritable() noexcept;
  void keepPending(std::string_view input) noexcept;
  void takePending(std::string_view input) noexcept;
  void feed(std::string_view input) noexcept;
  void onHead() noexcept;
  void onBody(std::string_view body) noexcept;
  void onRequestEnd() noexcept;
  bool takeToken() noexcept;
  bool isVerdictStale() noexcept;
  void park() noexcept;
  void judgeClaim() noexcept;
  void readOn() noexcept;
  Engine::Caller callerBy(const InvocationPath& path) const noexcept;
  void proceed() noexcept;
  void dispatch(std::string_view body, bool last) noexcept;
  void dispatchInvocation(const RequestHead& head, std::string_view body, bool last) noexcept;
  void expectBody() noexcept;
  void refuse(Refusal refusal, std::string_view reason = {}, int status = 0) noexcept;
  void answerOptions() noexcept;
  void writeOwn(std::string_view body) noexcept;
  void composeHead(const AnswerEvent& event) noexcept;
  void composeFraming(int64_t contentLength, bool bodyAllowed) noexcept;
  ssize_t sendParts(const std::array<std::string_view, 3>& parts) noexcept;
  bool send(std::string_view a, std::string_view b = {}, std::string_view c = {}) noexcept;
  void answerWritten() noexcept;
  void nextMessage() noexcept;
  void breakOff() noexcept;
  void end() noexcept;
  void cancelExchange() noexcept;
  void watchAsNeeded() noexcept;
  void armFor(uint64_t deadlineMs) noexcept;
  uint64_t nextDeadline() const noexcept;
  void onOverdue(uint64_t now) noexcept;
  bool requestStreams() const noexcept;
  std::string_view requestId() const noexcept;

  Front& front_;
  const uint32_t index_;
  uint32_t generation_ = 0;
  int fd_ = -1;
  // Borrowed from the loop while open.
  Loop::Watch* watch_ = nullptr;
  uint32_t watched_ = 0;
  State state_ = State::kClosed;
  Route route_ = Route::kNone;
  bool keepAlive_ = false;
  bool headRequest_ = false;
  bool requestComplete_ = false;
  bool requestPaused_ = false;
  bool saidContinue_ = false;
  bool dropsBody_ = false;
  // The answer's head is with the kernel or in out_.
  bool answerBegun_ = false;
  bool answerComplete_ = false;
  bool chunkedAnswer_ = false;
  // Unknown length towards HTTP/1.0: the end of the connection is the end of the body.
  bool closeDelimited_ = false;
  uint64_t bodyBytes_ = 0;
  uint64_t stateSinceMs_ = 0;
  uint64_t windowSinceMs_ = 0;
  uint64_t windowBytes_ = 0;
  uint64_t writtenAtMs_ = 0;
  size_t lingerBytes_ = 0;
  // Borrowed: the engine owns it; null before dispatch and after its end.
  Exchange* exchange_ = nullptr;
  // Name of the picked entity; lives as long as some request of its revision does, so it is copied.
  ByteBuffer servedModel_;
  uint64_t revision_ = 0;
  // The token of the message; without a grant where none is asked for.
  JudgedToken token_;
  uint64_t judgedAtMs_ = 0;
  RequestParser parser_;
  // Address literal, ended by 0.
  char client_[INET6_ADDRSTRLEN] = {};
  // Bytes behind the message that is under way.
  ByteBuffer pending_;
  // What the kernel did not take, from outSent_ on.
  ByteBuffer out_;
  size_t outSent_ = 0;
  char databricksRequestId_[kRequestIdBytes] = {};
  // In the front's list of free ones, or of those whose tokens it is to ask about.
  ClientConnection* nextFree_ = nullptr;
  ClientConnection* nextParked_ = nullptr;
  bool isListedAsParked_ = false;
};

}  // namespace pointsman
