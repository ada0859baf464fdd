#include "net/exchange.h"

#include <algorithm>
#include <cstring>
#include <ctime>

#include "http1/header_rules.h"
#include "http1/keep_alive.h"
#include "net/engine.h"
#include "net/sys.h"

namespace pointsman {

namespace {

// What a client that left before the answer counts as: nginx's convention, a 4xx.
constexpr int kStatusClientGone = 499;
// Memory that an exchange keeps for the next request, per buffer: the engine never shrinks the
// number of exchanges.
constexpr size_t kKeptBytesMax = size_t{16} * 1024;

uint64_t nowUs() noexcept {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<uint64_t>(now.tv_sec) * 1'000'000 + static_cast<uint64_t>(now.tv_nsec) / 1'000;
}

}  // namespace

int statusOf(Failure failure) noexcept {
  switch (failure) {
    case Failure::kNoReadyAddress:
    case Failure::kConnectFailed:
    case Failure::kConnectTimeout:
    case Failure::kConnectionLimit:
    case Failure::kOutOfMemory:
      return 503;
    case Failure::kResponseHeaderTimeout:
    case Failure::kTotalTimeout:
    case Failure::kBodyIdleTimeout:
      return 504;
    case Failure::kBadRequest:
      return 400;
    case Failure::kLoop:
      return 508;
    case Failure::kDeploymentLimit:
    case Failure::kDeploymentQueueFull:
    case Failure::kDeploymentQueueTimeout:
    case Failure::kEntityLimit:
    case Failure::kEntityQueueFull:
    case Failure::kEntityQueueTimeout:
      return 429;
    default:
      return 502;
  }
}

void Exchange::start(Door& door, Ref<DeploymentSpec> deployment, EntityStats& stats,
                     const Limit& limit, const RequestHead& head, std::string_view body,
                     bool last) noexcept {
  door_ = &door;
  deployment_ = std::move(deployment);
  stats_ = &stats;
  stats_->inFlight++;
  state_ = State::kConnecting;
  startedUs_ = nowUs();
  totalDeadlineMs_ = deployment_->totalMs == 0 ? 0 : deadlineIn(deployment_->totalMs);
  copyHead(head);
  const HeadFault fault = appendRequestFields(head, *deployment_, out_);
  const bool isForwardable = fault == HeadFault::kNone && appendBody(body, last);
  if (isOutOfMemory()) {
    failLater(Failure::kOutOfMemory);
  } else if (!isForwardable) {
    failLater(fault == HeadFault::kLoop ? Failure::kLoop : Failure::kBadRequest);
  } else {
    admit(limit);
  }
}

void Exchange::dispatch() noexcept {
  const std::optional<uint32_t> picked =
      deployment_->addresses->pick(engine_.rng(), engine_.loop().nowMs());
  if (!picked) {
    failLater(Failure::kNoReadyAddress);
    return;
  }
  if (!useAddress(*picked)) {
    failLater(Failure::kOutOfMemory);
    return;
  }
  attempt();
}

// False when every ready address has been tried, or the retry budget or memory is used up.
bool Exchange::useOtherAddress() noexcept {
  if (!tried_.add(address_)) return false;
  const std::optional<uint32_t> other =
      deployment_->addresses->pickOther(engine_.rng(), tried_, engine_.loop().nowMs());
  return other && useAddress(*other);
}

// Connects to address_, or to another one while that fails at once. What was replayed gets no warm
// connection any more, because that could close as the first one did.
void Exchange::attempt() noexcept {
  for (;;) {
    state_ = State::kConnecting;
    prefixSent_ = outSent_ = 0;
    wrote_ = sendBroken_ = false;
    attemptedMs_ = engine_.loop().nowMs();
    const ConnectionPool::Acquired acquired =
        address_->pool().acquire(*this, deployment_->connectMs, replayed_);
    if (acquired.connection != nullptr) {
      connection_ = acquired.connection;
      address_->stats().inFlight++;
      address_->stats().requests++;
      if (connection_->state() == Connection::State::kBusy) {
        beginSending();
      } else {
        // The pool has an eye on the connect timeout.
        armPhase(0);
      }
      return;
    }
    judge(verdictOf(failureOfConnect(acquired.failedWith), false));
    if (!useOtherAddress()) {
      failLater(failureOfConnect(acquired.failedWith));
      return;
    }
  }
}

void Exchange::onConnected(int failedWith) noexcept {
  if (failedWith == 0) {
    beginSending();
    reportDrain();
    return;
  }
  connection_ = nullptr;
  address_->stats().inFlight--;
  judge(verdictOf(failureOfConnect(failedWith), false));
  if (!useOtherAddress()) {
    fail(failureOfConnect(failedWith));
    return;
  }
  attempt();
  reportDrain();
}

void Exchange::beginSending() noexcept {
  state_ = State::kAwaitingHead;
  parser_.reset(headMethod_);
  armReplica();
  flush();
}

// All that the client sent was passed on, and more is due.
bool Exchange::waitsForClient() const noexcept {
  return !requestComplete_ && waitingBytes() == 0;
}

// A replica that waits for a slow client's body is not late, with its head or within its answer:
// its time begins when it has all that there is to send, and begins again with every byte that it
// takes.
void Exchange::armReplica() noexcept {
  const uint32_t phaseMs =
      state_ == State::kBody ? deployment_->bodyIdleMs : deployment_->responseHeaderMs;
  armPhase(waitsForClient() ? 0 : phaseMs);
}

void Exchange::flush() noexcept {
  const size_t waitedBefore = waitingBytes();
  while (waitingBytes() > 0 && !sendBroken_) {
    const ssize_t sent = sendWaiting();
    if (sent < 0) {
      if (sys::isWouldBlock(errno)) break;
      // The replica may have answered before it closed: what it said is read before it is judged.
      sendBroken_ = true;
      engine_.loop().defer(this);
      break;
    }
    wrote_ = true;
    const size_t intoPrefix = std::min(static_cast<size_t>(sent), prefix_.size() - prefixSent_);
    prefixSent_ += intoPrefix;
    outSent_ += static_cast<size_t>(sent) - intoPrefix;
  }
  if (waitingBytes() < waitedBefore) armReplica();
  if (!replayable_ && outSent_ > 0) {
    out_.eraseFront(outSent_);
    outSent_ = 0;
  }
  watch();
}

void Exchange::onWritable() noexcept {
  flush();
  reportDrain();
}

void Exchange::reportDrain() noexcept {
  if (!doorPaused_ || waitingBytes() > 0) return;
  doorPaused_ = false;
  door_->onRequestDrain(*this);
}

void Exchange::watch() noexcept {
  uint32_t events = answerPaused_ ? 0 : kReadable;
  if (waitingBytes() > 0 && !sendBroken_) events |= kWritable;
  connection_->watchFor(events);
}

void Exchange::pauseAnswer() noexcept {
  if (!live() || answerPaused_) return;
  answerPaused_ = true;
  if (connection_ != nullptr && connection_->state() == Connection::State::kBusy) watch();
  // The client is slow, not the replica: only the total limit runs on.
  if (state_ == State::kAwaitingHead || state_ == State::kBody) armPhase(0);
}

void Exchange::resumeAnswer() noexcept {
  if (!live() || !answerPaused_) return;
  answerPaused_ = false;
  if (connection_ != nullptr && connection_->state() == Connection::State::kBusy) watch();
  if (state_ == State::kAwaitingHead || state_ == State::kBody) armReplica();
  if (sendBroken_) engine_.loop().defer(this);
}

void Exchange::onReadable() noexcept {
  const std::span<char> buffer = engine_.readBuffer();
  for (int reads = 0; reads < kReadsPerEventMax; reads++) {
    const ssize_t got = connection_->receive(buffer);
    // Once sending failed nothing more is expected than what had come before.
    if (got < 0 && sys::isWouldBlock(errno) && !sendBroken_) return;
    if (got <= 0) {
      onClosed(got < 0 || sendBroken_);
      return;
    }
    const bool isDrained = static_cast<size_t>(got) < buffer.size();
    // Outlives what the answer leads to: it is freed in a turn of its own.
    Connection& connection = *connection_;
    feed(buffer.data(), static_cast<size_t>(got));
    if (isDrained && !sendBroken_) return;
    if (!live() || answerPaused_) {
      connection.readAgain();
      return;
    }
  }
  if (sendBroken_) {
    engine_.loop().defer(this);
  } else {
    connection_->readAgain();
  }
}

// Body bytes of one read are moved together, so that the door gets one view whatever the chunks
// were.
void Exchange::feed(char* data, size_t size) noexcept {
  AnswerEvent event;
  std::string_view input(data, size);
  char* body = nullptr;
  size_t bodyBytes = 0;
  bool more = true;
  while (more) {
    const ResponseParser::Step step = parser_.next(input);
    switch (step.kind) {
      case StepKind::kNeedMore:
        more = false;
        break;
      case StepKind::kHead:
        if (!takeHead(event)) return;
        break;
      case StepKind::kBodyData: {
        if (body == nullptr) body = const_cast<char*>(step.body.data());  // NOLINT: our own buffer
        char* end = body + bodyBytes;
        if (end != step.body.data()) std::memmove(end, step.body.data(), step.body.size());
        bodyBytes += step.body.size();
        break;
      }
      case StepKind::kEnd:
        event.end = true;
        more = false;
        break;
      case StepKind::kError:
        // What came before the fault is not relayed: the client is told of the failure instead.
        if (step.error == ParseError::kOutOfMemory) {
          fail(Failure::kOutOfMemory);
        } else {
          fail(headRelayed_ ? Failure::kTruncated : Failure::kBadAnswer);
        }
        return;
    }
    input.remove_prefix(step.consumed);
  }
  answered_ = true;
  if (!event.hasHead && bodyBytes == 0 && !event.end) {
    if (state_ == State::kBody) armReplica();
    return;
  }
  event.body = std::string_view(body, bodyBytes);
  headRelayed_ = true;
  if (event.end) {
    const bool sentAll = requestComplete_ && waitingBytes() == 0;
    judge(verdictOf(status_, hasRetryAfter_));
    finish(status_, parser_.isReusable() && sentAll && input.empty());
  } else {
    armReplica();
  }
  door_->onAnswer(*this, event);
}

// False: the exchange has failed.
bool Exchange::takeHead(AnswerEvent& event) noexcept {
  event.hasHead = true;
  event.status = static_cast<int>(parser_.status());
  const std::optional<uint64_t> length = parser_.contentLength();
  const BodyFraming framing = parser_.framing();
  event.bodyAllowed = framing != BodyFraming::kNone;
  const bool counted =
      framing == BodyFraming::kLength || (framing == BodyFraming::kNone && event.status != 204);
  if (length && counted) event.contentLength = static_cast<int64_t>(*length);
  ByteBuffer& fields = engine_.answerFields();
  fields.clear();
  if (isLocal()) {
    appendLocalResponseFields(parser_.fields(), fields);
  } else if (!appendForwardedResponseFields(parser_.fields(), fields)) {
    fail(Failure::kBadAnswer);
    return false;
  }
  if (fields.failed()) {
    fail(Failure::kOutOfMemory);
    return false;
  }
  event.fields = fields;
  status_ = event.status;
  hasRetryAfter_ = status_ == 503 && hasRetryAfter(parser_.fields());
  state_ = State::kBody;
  return true;
}

// The replica's side is closed, by FIN or, `broken`, by an error.
void Exchange::onClosed(bool broken) noexcept {
  const ResponseParser::Step step = parser_.finish();
  if (step.kind == StepKind::kEnd && !broken) {
    judge(verdictOf(status_, hasRetryAfter_));
    finish(status_, false);
    AnswerEvent event;
    event.end = true;
    door_->onAnswer(*this, event);
    return;
  }
  if (headRelayed_) {
    fail(Failure::kTruncated);
  } else if (answered_ || parser_.hasStarted()) {
    fail(Failure::kBadAnswer);
  } else if (!retry()) {
    fail(Failure::kClosedBeforeAnswer);
  }
}

// The connection closed before a byte of answer. Not a byte of the request sent: any request may go
// on, and all of it is held still. Else only a kept-alive connection is excused, which most likely
// closed as we wrote.
bool Exchange::retry() noexcept {
  const bool excused = connection_->reused() && !replayed_;
  const bool repeatable = replayable_ && (idempotent_ || deployment_->replaySafe);
  if (wrote_ && !(excused && repeatable)) return false;
  address_->stats().inFlight--;
  address_->pool().release(*connection_, false, 0);
  connection_ = nullptr;
  if (excused) {
    replayed_ = true;
    address_->stats().retries++;
  } else {
    judge(Verdict::kFailure);
    if (!useOtherAddress()) return false;
  }
  attempt();
  // A kept connection may have taken all at once, and no writable event will follow.
  reportDrain();
  return true;
}

void Exchange::onTimeout() noexcept {
  const uint64_t now = engine_.loop().nowMs();
  if (totalDeadlineMs_ != 0 && now >= totalDeadlineMs_) {
    fail(Failure::kTotalTimeout);
  } else if (state_ == State::kQueued) {
    engine_.admission().countDeadline(*this);
    fail(isStoppedByEntity() ? Failure::kEntityQueueTimeout : Failure::kDeploymentQueueTimeout);
  } else {
    fail(state_ == State::kBody ? Failure::kBodyIdleTimeout : Failure::kResponseHeaderTimeout);
  }
}

// The loop's clock shows whole milliseconds, cut off: without one more, a wait may end early.
uint64_t Exchange::deadlineIn(uint32_t ms) const noexcept {
  return engine_.loop().nowMs() + ms + 1;
}

// `phaseMs` 0: only the total limit, as while the door is paused.
void Exchange::armPhase(uint32_t phaseMs) noexcept {
  const bool runs = phaseMs != 0 && !answerPaused_;
  uint64_t deadline = runs ? deadlineIn(phaseMs) : 0;
  if (totalDeadlineMs_ != 0 && (deadline == 0 || totalDeadlineMs_ < deadline)) {
    deadline = totalDeadlineMs_;
  }
  if (deadline == 0) {
    engine_.wheel().cancel(*this);
  } else {
    engine_.wheel().arm(*this, deadline);
  }
}

void Exchange::cancel() noexcept {
  if (live()) finish(kStatusClientGone, false);
}

void Exchange::fail(Failure failure) noexcept {
  const bool headRelayed = headRelayed_;
  // Without a connection the attempt was judged already, or there was none.
  if (connection_ != nullptr) {
    const bool isLimited = failure == Failure::kTotalTimeout && headRelayed;
    judge(verdictOf(failure, waitsForClient() || isLimited));
  }
  finish(headRelayed ? status_ : statusOf(failure), false);
  door_->onFailure(*this, failure, headRelayed);
}

void Exchange::failLater(Failure failure) noexcept {
  failLater_ = failure;
  engine_.loop().defer(this);
}

void Exchange::judge(Verdict verdict) noexcept {
  if (isLocal()) return;
  deployment_->addresses->report(*address_, verdict, attemptedMs_, engine_.loop().nowMs());
}

void Exchange::finish(int status, bool reusable) noexcept {
  engine_.wheel().cancel(*this);
  if (connection_ != nullptr) {
    address_->stats().inFlight--;
    const uint64_t idleMs = idleBelow(parser_.keepAliveSeconds(), deployment_->keepaliveIdleMs);
    address_->pool().release(*connection_, reusable && idleMs > 0, idleMs);
    connection_ = nullptr;
  }
  // After the connection: the replica learns of the end before another request can come.
  engine_.admission().end(*this);
  stats_->inFlight--;
  stats_->recordAnswer(static_cast<uint32_t>(status), nowUs() - startedUs_, isNative_);
  state_ = State::kDone;
  engine_.loop().defer(this);
}

// What calls of the door left to do: they must not call it back.
void Exchange::onDeferred() noexcept {
  if (state_ == State::kDone) {
    engine_.recycle(*this);
  } else if (failLater_ != Failure::kNone) {
    fail(failLater_);
  } else if (sendBroken_) {
    if (!answerPaused_) onReadable();
  } else {
    reportDrain();
  }
}

void Exchange::reset() noexcept {
  state_ = State::kFree;
  failLater_ = Failure::kNone;
  answerPaused_ = doorPaused_ = chunkedRequest_ = requestComplete_ = false;
  replayable_ = replayed_ = idempotent_ = headMethod_ = false;
  wrote_ = sendBroken_ = answered_ = headRelayed_ = hasRetryAfter_ = false;
  status_ = 0;
  tried_.clear();
  door_ = nullptr;
  stats_ = nullptr;
  deployment_.reset();
  claim_.reset();
  address_.reset();
  // Capacity stays for the next request, but not that of a large one.
  if (out_.capacity() > kKeptBytesMax) out_.release();
  out_.clear();
  prefix_.clear();
  prefixSent_ = outSent_ = 0;
}

}  // namespace pointsman
