#include "net/exchange.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstring>
#include <ctime>

#include "http1/header_rules.h"
#include "net/engine.h"
#include "net/sys.h"

namespace pointsman {

namespace {

// What a client that left before the answer counts as: nginx's convention, a 4xx.
constexpr int kStatusClientGone = 499;
constexpr std::string_view kVia = "via: 1.1 pointsman\r\n";

uint64_t nowUs() noexcept {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<uint64_t>(now.tv_sec) * 1'000'000 + static_cast<uint64_t>(now.tv_nsec) / 1'000;
}

// RFC 9110, 9.2.2.
bool isIdempotent(std::string_view method) noexcept {
  return method == "GET" || method == "HEAD" || method == "PUT" || method == "DELETE" ||
         method == "OPTIONS" || method == "TRACE";
}

void appendNumber(std::string& out, uint64_t value, int base) {
  std::array<char, 24> digits{};
  const auto end = std::to_chars(digits.begin(), digits.end(), value, base);
  out.append(digits.data(), static_cast<size_t>(end.ptr - digits.data()));
}

bool isWouldBlock(int error) noexcept {
  return error == EAGAIN || error == EWOULDBLOCK || error == EINTR;
}

Failure connectFailure(int error) noexcept {
  switch (error) {
    case ETIMEDOUT:
      return Failure::ConnectTimeout;
    case EMFILE:
    case ENFILE:
    case ENOMEM:
    case ENOBUFS:
    case EAGAIN:
    case EADDRNOTAVAIL:
      return Failure::ConnectionLimit;
    default:
      return Failure::ConnectFailed;
  }
}

}  // namespace

int statusOf(Failure failure) noexcept {
  switch (failure) {
    case Failure::NoReadyAddress:
    case Failure::ConnectFailed:
    case Failure::ConnectTimeout:
    case Failure::ConnectionLimit:
      return 503;
    case Failure::ResponseHeaderTimeout:
    case Failure::TotalTimeout:
    case Failure::BodyIdleTimeout:
      return 504;
    case Failure::BadRequest:
      return 400;
    default:
      return 502;
  }
}

void Exchange::start(Door& door, Ref<DeploymentSpec> deployment, EntityStats& stats,
                     const RequestHead& head, std::string_view body, bool last) {
  door_ = &door;
  deployment_ = std::move(deployment);
  stats_ = &stats;
  stats_->inFlight++;
  state_ = State::Connecting;
  startedUs_ = nowUs();
  totalDeadlineMs_ =
      deployment_->totalMs == 0 ? 0 : engine_.loop().nowMs() + deployment_->totalMs;
  method_.assign(head.method);
  query_.assign(deployment_->protocol == Protocol::Raw ? head.query : std::string_view());
  headMethod_ = head.method == "HEAD";
  idempotent_ = isIdempotent(head.method);
  chunkedRequest_ = head.contentLength < 0;
  replayable_ = true;
  if (!writeHead(head)) {
    failLater(Failure::BadRequest);
    return;
  }
  appendBody(body, last);
  const std::optional<uint32_t> picked = deployment_->addresses->pick(engine_.rng());
  if (!picked) {
    failLater(Failure::NoReadyAddress);
    return;
  }
  addressIndex_ = *picked;
  attempt(false);
}

// All of the head but request line and Host, which belong to the attempt. Our own fields come after the
// client's and the deployment's come last, so that neither can be taken away or set by a client.
bool Exchange::writeHead(const RequestHead& head) {
  if (!appendForwardedRequestFields(head.fields, out_)) return false;
  out_.append(kVia);
  out_.append("x-forwarded-for: ").append(head.clientAddress).append("\r\n");
  out_.append("x-forwarded-proto: http\r\n");
  out_.append("x-request-id: ").append(head.requestId).append("\r\n");
  if (chunkedRequest_) {
    out_.append("transfer-encoding: chunked\r\n");
  } else if (head.contentLength > 0 || !idempotent_) {
    out_.append("content-length: ");
    appendNumber(out_, static_cast<uint64_t>(head.contentLength), 10);
    out_.append("\r\n");
  }
  out_.append(deployment_->headerLines);
  out_.append("\r\n");
  return true;
}

// Connects to the address at addressIndex_, or to another one while that fails at once.
void Exchange::attempt(bool fresh) noexcept {
  for (;;) {
    const AddressSet::Entry& entry = deployment_->addresses->entry(addressIndex_);
    if (addressIndex_ < 64) tried_ |= uint64_t{1} << addressIndex_;
    address_ = entry.address;
    prefix_.assign(method_).append(" ").append(entry.target);
    if (!query_.empty()) prefix_.append("?").append(query_);
    prefix_.append(" HTTP/1.1\r\n").append(entry.hostLine);
    prefixSent_ = outSent_ = 0;
    const ConnectionPool::Acquired acquired =
        address_->pool().acquire(*this, deployment_->connectMs, fresh);
    if (acquired.connection != nullptr) {
      connection_ = acquired.connection;
      address_->stats().inFlight++;
      address_->stats().requests++;
      state_ = State::Connecting;
      if (connection_->state() == Connection::State::Busy) beginSending();
      return;
    }
    const std::optional<uint32_t> other = deployment_->addresses->pickOther(engine_.rng(), tried_);
    if (!other) {
      failLater(connectFailure(acquired.failedWith));
      return;
    }
    addressIndex_ = *other;
  }
}

void Exchange::onConnected(int failedWith) noexcept {
  if (failedWith == 0) {
    beginSending();
    return;
  }
  connection_ = nullptr;
  address_->stats().inFlight--;
  const std::optional<uint32_t> other = deployment_->addresses->pickOther(engine_.rng(), tried_);
  if (!other) {
    fail(connectFailure(failedWith));
    return;
  }
  addressIndex_ = *other;
  attempt(false);
}

void Exchange::beginSending() noexcept {
  state_ = State::AwaitingHead;
  wrote_ = sendBroken_ = false;
  parser_.reset(headMethod_);
  armPhase(deployment_->responseHeaderMs);
  flush();
}

size_t Exchange::sendBody(std::string_view body, bool last) {
  if (!live() || requestComplete_ || sendBroken_) return 0;
  appendBody(body, last);
  if (state_ != State::Connecting && failLater_ == Failure::None) flush();
  const size_t waiting = waitingBytes();
  if (waiting > kRequestBufferBytesMax) doorPaused_ = true;
  return waiting;
}

void Exchange::appendBody(std::string_view body, bool last) {
  if (!body.empty()) {
    if (chunkedRequest_) {
      appendNumber(out_, body.size(), 16);
      out_.append("\r\n").append(body).append("\r\n");
    } else {
      out_.append(body);
    }
  }
  if (last) {
    requestComplete_ = true;
    if (chunkedRequest_) out_.append("0\r\n\r\n");
  }
  if (out_.size() > kReplayBytesMax) replayable_ = false;
}

size_t Exchange::waitingBytes() const noexcept {
  return prefix_.size() - prefixSent_ + out_.size() - outSent_;
}

void Exchange::flush() noexcept {
  while (waitingBytes() > 0 && !sendBroken_) {
    std::array<iovec, 2> parts{{{prefix_.data() + prefixSent_, prefix_.size() - prefixSent_},
                                {out_.data() + outSent_, out_.size() - outSent_}}};
    const ssize_t sent = sys::sendParts(connection_->fd(), parts.data(), parts.size());
    if (sent < 0) {
      if (isWouldBlock(errno)) break;
      // The replica may have answered before it closed: what it said is read before it is judged.
      sendBroken_ = true;
      break;
    }
    wrote_ = true;
    const size_t intoPrefix = std::min(static_cast<size_t>(sent), parts[0].iov_len);
    prefixSent_ += intoPrefix;
    outSent_ += static_cast<size_t>(sent) - intoPrefix;
    if (state_ == State::AwaitingHead) armPhase(deployment_->responseHeaderMs);
  }
  if (!replayable_ && outSent_ > 0) {
    out_.erase(0, outSent_);
    outSent_ = 0;
  }
  watch();
}

void Exchange::onWritable() noexcept {
  flush();
  if (doorPaused_ && waitingBytes() == 0) {
    doorPaused_ = false;
    door_->onRequestDrain(*this);
  }
}

void Exchange::watch() noexcept {
  uint32_t events = answerPaused_ ? 0 : kReadable;
  if (waitingBytes() > 0 && !sendBroken_) events |= kWritable;
  connection_->watchFor(events);
}

void Exchange::pauseAnswer() noexcept {
  if (!live() || answerPaused_) return;
  answerPaused_ = true;
  if (connection_ != nullptr && connection_->state() == Connection::State::Busy) watch();
  // The client is slow, not the replica: only the total limit runs on.
  if (state_ == State::Body) armPhase(0);
}

void Exchange::resumeAnswer() noexcept {
  if (!live() || !answerPaused_) return;
  answerPaused_ = false;
  if (connection_ != nullptr && connection_->state() == Connection::State::Busy) watch();
  if (state_ == State::Body) armPhase(deployment_->bodyIdleMs);
}

void Exchange::onReadable() noexcept {
  const std::span<char> buffer = engine_.readBuffer();
  for (int reads = 0; reads < kReadsPerEventMax; reads++) {
    const ssize_t got = sys::recv(connection_->fd(), buffer.data(), buffer.size(), 0);
    if (got < 0 && isWouldBlock(errno)) return;
    if (got <= 0) {
      if (got < 0) sendBroken_ = true;
      onClosed();
      return;
    }
    feed(buffer.data(), static_cast<size_t>(got));
    if (!live() || answerPaused_ || static_cast<size_t>(got) < buffer.size()) return;
  }
}

// Body bytes of one read are moved together, so that the door gets one view whatever the chunks were.
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
      case StepKind::kHead: {
        event.hasHead = true;
        event.status = static_cast<int>(parser_.status());
        const std::optional<uint64_t> length = parser_.contentLength();
        const BodyFraming framing = parser_.framing();
        event.bodyAllowed = framing != BodyFraming::kNone;
        const bool counted = framing == BodyFraming::kLength || framing == BodyFraming::kNone;
        if (length && counted) event.contentLength = static_cast<int64_t>(*length);
        answerFields_.clear();
        if (!appendForwardedResponseFields(parser_.fields(), answerFields_)) {
          fail(Failure::BadAnswer);
          return;
        }
        event.fields = answerFields_;
        status_ = event.status;
        state_ = State::Body;
        break;
      }
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
        fail(headRelayed_ ? Failure::Truncated : Failure::BadAnswer);
        return;
    }
    input.remove_prefix(step.consumed);
  }
  answered_ = true;
  if (!event.hasHead && bodyBytes == 0 && !event.end) {
    if (state_ == State::Body) armPhase(deployment_->bodyIdleMs);
    return;
  }
  event.body = std::string_view(body, bodyBytes);
  headRelayed_ = true;
  if (event.end) {
    const bool sentAll = requestComplete_ && waitingBytes() == 0;
    finish(status_, parser_.isReusable() && sentAll && input.empty());
  } else {
    armPhase(answerPaused_ ? 0 : deployment_->bodyIdleMs);
  }
  door_->onAnswer(*this, event);
}

// The replica's side is closed, by FIN or by an error.
void Exchange::onClosed() noexcept {
  const bool reset = sendBroken_;
  const ResponseParser::Step step = parser_.finish();
  if (step.kind == StepKind::kEnd && !reset) {
    finish(status_, false);
    AnswerEvent event;
    event.end = true;
    door_->onAnswer(*this, event);
    return;
  }
  if (headRelayed_) {
    fail(Failure::Truncated);
  } else if (answered_ || parser_.hasStarted()) {
    fail(Failure::BadAnswer);
  } else if (!replay()) {
    fail(Failure::ClosedBeforeAnswer);
  }
}

// A kept-alive connection closed before a byte of answer: most likely it was closed as we wrote.
bool Exchange::replay() noexcept {
  if (!connection_->reused() || replayed_ || answered_) return false;
  const bool allowed = !wrote_ || idempotent_ || deployment_->replaySafe;
  if (!allowed || !replayable_) return false;
  replayed_ = true;
  address_->stats().inFlight--;
  address_->pool().release(*connection_, false, 0);
  connection_ = nullptr;
  attempt(true);
  return true;
}

void Exchange::onTimeout() noexcept {
  const uint64_t now = engine_.loop().nowMs();
  if (totalDeadlineMs_ != 0 && now >= totalDeadlineMs_) {
    fail(Failure::TotalTimeout);
  } else {
    fail(state_ == State::Body ? Failure::BodyIdleTimeout : Failure::ResponseHeaderTimeout);
  }
}

// `phaseMs` 0: only the total limit.
void Exchange::armPhase(uint32_t phaseMs) noexcept {
  uint64_t deadline = phaseMs == 0 ? 0 : engine_.loop().nowMs() + phaseMs;
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
  finish(headRelayed ? status_ : statusOf(failure), false);
  door_->onFailure(*this, failure, headRelayed);
}

void Exchange::failLater(Failure failure) noexcept {
  failLater_ = failure;
  engine_.loop().defer(this);
}

void Exchange::finish(int status, bool reusable) noexcept {
  engine_.wheel().cancel(*this);
  if (connection_ != nullptr) {
    address_->stats().inFlight--;
    address_->pool().release(*connection_, reusable, deployment_->keepaliveIdleMs);
    connection_ = nullptr;
  }
  stats_->inFlight--;
  stats_->recordAnswer(static_cast<uint32_t>(status), nowUs() - startedUs_);
  state_ = State::Done;
  engine_.loop().defer(this);
}

void Exchange::onDeferred() noexcept {
  if (state_ == State::Done) {
    engine_.recycle(*this);
  } else if (failLater_ != Failure::None) {
    fail(failLater_);
  }
}

void Exchange::reset() noexcept {
  state_ = State::Free;
  failLater_ = Failure::None;
  answerPaused_ = doorPaused_ = chunkedRequest_ = requestComplete_ = false;
  replayable_ = replayed_ = idempotent_ = headMethod_ = false;
  wrote_ = sendBroken_ = answered_ = headRelayed_ = false;
  status_ = 0;
  tried_ = 0;
  door_ = nullptr;
  stats_ = nullptr;
  deployment_.reset();
  address_.reset();
  // Capacity stays for the next request, but not that of a large one.
  if (out_.capacity() > kReplayBytesMax) out_ = std::string();
  out_.clear();
  prefix_.clear();
  prefixSent_ = outSent_ = 0;
}

}  // namespace pointsman
