#include "front/client_connection.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>

#include <algorithm>
#include <cerrno>

#include "front/front.h"
#include "front/invocation_path.h"
#include "net/sys.h"

namespace pointsman {

namespace {

// Capacity that a connection keeps for its next message, per buffer.
constexpr size_t kKeptBytesMax = size_t{8} * 1024;
constexpr std::string_view kContinue = "HTTP/1.1 100 Continue\r\n\r\n";

Refusal refusalOf(RequestError error) noexcept {
  if (error == RequestError::kOutOfMemory) return Refusal::kOutOfMemory;
  if (error == RequestError::kHeadTooLarge || error == RequestError::kTargetTooLong) {
    return Refusal::kHeadTooLarge;
  }
  return statusOf(error) >= 500 ? Refusal::kNotImplemented : Refusal::kMalformed;
}

// Letters' case matters in a method, and none of HTTP has small ones: `get` would be one thing to
// us and perhaps another to a replica.
bool isMethodRelayed(std::string_view method) noexcept {
  return std::all_of(method.begin(), method.end(),
                     [](char c) { return (c >= 'A' && c <= 'Z') || c == '-'; });
}

void clearKeeping(ByteBuffer& buffer) noexcept {
  if (buffer.capacity() > kKeptBytesMax) buffer.release();
  buffer.clear();
}

void writeClientAddress(const sockaddr_storage& peer, char (&text)[INET6_ADDRSTRLEN]) noexcept {
  text[0] = '\0';
  if (peer.ss_family == AF_INET6) {
    const auto* v6 = reinterpret_cast<const sockaddr_in6*>(&peer);  // NOLINT: the API's own idiom
    inet_ntop(AF_INET6, &v6->sin6_addr, text, sizeof text);
  } else if (peer.ss_family == AF_INET) {
    const auto* v4 = reinterpret_cast<const sockaddr_in*>(&peer);  // NOLINT: as above
    inet_ntop(AF_INET, &v4->sin_addr, text, sizeof text);
  }
}

}  // namespace

ClientConnection::ClientConnection(Front& front, uint32_t index) noexcept
    : front_(front),
      index_(index),
      parser_(RequestLimits{.headBytesMax = front.settings_.headBytesMax,
                            .targetBytesMax = front.settings_.headBytesMax,
                            .fieldsMax = kClientFieldsMax}) {}

ClientConnection::~ClientConnection() {
  close();
  front_.engine_.loop().undefer(this);
}

bool ClientConnection::open(int fd, const sockaddr_storage& peer) noexcept {
  const int on = 1;
  (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  watch_ = front_.engine_.loop().watch(fd, kReadable, this);
  if (watch_ == nullptr) {
    sys::close(fd);
    return false;
  }
  fd_ = fd;
  watched_ = kReadable;
  generation_++;
  writeClientAddress(peer, client_);
  pending_.clear();
  out_.clear();
  outSent_ = 0;
  lingerBytes_ = 0;
  nextMessage();
  armFor(nextDeadline());
  return true;
}

// Ready for the next request on the connection.
void ClientConnection::nextMessage() noexcept {
  parser_.reset();
  state_ = State::kIdle;
  stateSinceMs_ = front_.engine_.loop().nowMs();
  route_ = Route::kNone;
  keepAlive_ = headRequest_ = requestComplete_ = requestPaused_ = saidContinue_ = false;
  dropsBody_ = answerBegun_ = answerComplete_ = chunkedAnswer_ = closeDelimited_ = false;
  bodyBytes_ = 0;
  revision_ = 0;
  servedModel_.clear();
  token_ = {};
  watchAsNeeded();
  // In a turn of its own: what ended the message before is still on the stack.
  if (!pending_.empty()) front_.engine_.loop().defer(this);
}

void ClientConnection::onIo(uint32_t events) noexcept {
  // Whoever waits for an answer and goes is gone, whatever it had sent.
  if ((events & kHangUp) != 0 && (watched_ & kHangUp) != 0) close();
  if (!isOpen()) return;
  if ((events & kReadable) != 0 && (watched_ & kReadable) != 0) onReadable();
  if (isOpen() && (events & kWritable) != 0 && (watched_ & kWritable) != 0) onWritable();
}

void ClientConnection::onReadable() noexcept {
  std::vector<char>& buffer = front_.readBuffer_;
  const bool waits = state_ == State::kParked || (state_ == State::kRelaying && requestComplete_);
  const size_t readMax = state_ == State::kIdle ? buffer.size() : kClientReadBytes;
  const size_t room = waits ? std::min(readMax, kPendingBytesMax - pending_.size()) : readMax;
  const ssize_t got = sys::recv(fd_, buffer.data(), room, 0);
  if (got < 0 && sys::isWouldBlock(errno)) return;
  if (got <= 0) {
    close();
    return;
  }
  const std::string_view input(buffer.data(), static_cast<size_t>(got));
  if (input.size() == room) front_.engine_.loop().readAgain(watch_);
  if (state_ == State::kLingering) {
    lingerBytes_ += input.size();
    watchAsNeeded();
    return;
  }
  if (waits) {
    keepPending(input);
  } else if (!pending_.empty()) {
    takePending(input);
  } else {
    feed(input);
  }
  watchAsNeeded();
}

// Without memory the connection ends behind its next answer.
void ClientConnection::keepPending(std::string_view input) noexcept {
  if (!pending_.append(input).failed()) return;
  pending_.clear();
  keepAlive_ = false;
  // A parked request has lost its body, or a part of it; any other is here whole.
  if (state_ == State::kParked) refuse(Refusal::kOutOfMemory);
}

// What waited comes first.
void ClientConnection::takePending(std::string_view input) noexcept {
  if (pending_.append(input).failed()) {
    pending_.clear();
    keepAlive_ = false;
    refuse(Refusal::kOutOfMemory);
    return;
  }
  ByteBuffer all;
  all.swap(pending_);
  feed(all);
}

void ClientConnection::feed(std::string_view input) noexcept {
  for (;;) {
    if (isVerdictStale()) {
      pending_.append(input);
      park();
      return;
    }
    const RequestParser::Step step = parser_.next(input);
    input.remove_prefix(step.consumed);
    switch (step.kind) {
      case RequestStepKind::kNeedMore:
        if (state_ == State::kIdle && parser_.hasStarted()) {
          state_ = State::kHead;
          stateSinceMs_ = front_.engine_.loop().nowMs();
          armFor(stateSinceMs_ + kHeadMs);
        } else if (requestStreams()) {
          expectBody();
        }
        return;
      case RequestStepKind::kHead:
        onHead();
        if (state_ == State::kParked) keepPending(input);
        if (state_ != State::kRelaying) return;
        break;
      case RequestStepKind::kBodyData:
        onBody(step.body);
        if (state_ != State::kRelaying) return;
        break;
      case RequestStepKind::kEnd:
        // Before anything is answered: an answer that is written at once leads to the next message.
        keepPending(input);
        requestComplete_ = true;
        onRequestEnd();
        return;
      case RequestStepKind::kError:
        keepAlive_ = false;
        refuse(refusalOf(step.error), reasonOf(step.error), statusOf(step.error));
        return;
    }
  }
}

void ClientConnection::onHead() noexcept {
  writeRequestId(front_.engine_.rng(), databricksRequestId_);
  keepAlive_ = parser_.keepAlive();
  const std::string_view method = parser_.method();
  headRequest_ = method == "HEAD";
  state_ = State::kRelaying;
  windowSinceMs_ = front_.engine_.loop().nowMs();
  windowBytes_ = 0;
  if (method == "CONNECT" || method == "TRACE" || !isMethodRelayed(method)) {
    refuse(Refusal::kMethodUnknown, method);
    return;
  }
  if (parser_.path() == "*") {
    answerOptions();
    return;
  }
  const FrontSettings& settings = front_.settings_;
  InvocationPath invocation;
  const bool isInvocation = parseInvocationPath(parser_.path(), settings.workspaceId, invocation);
  route_ = isInvocation && settings.fastPath ? Route::kInvocation : Route::kLocal;
  if (!isInvocation) return;
  if (front_.engine_.startsNothing()) {
    refuse(Refusal::kTakenOver);
    return;
  }
  const std::string_view authorization = parser_.authorization();
  if (settings.authRequired && !takeToken()) {
    if (authorization.empty()) {
      refuse(Refusal::kUnauthenticated);
      return;
    }
    park();
    return;
  }
  proceed();
}

void ClientConnection::onBody(std::string_view body) noexcept {
  bodyBytes_ += body.size();
  windowBytes_ += body.size();
  if (dropsBody_) return;
  if (bodyBytes_ > front_.settings_.requestBytesMax) {
    refuse(Refusal::kBodyTooLarge);
    return;
  }
  const int64_t length = parser_.contentLength();
  const bool last = length >= 0 && bodyBytes_ == static_cast<uint64_t>(length);
  if (exchange_ != nullptr) {
    const size_t waiting = exchange_->sendBody(body, last);
    if (waiting > kRequestBufferBytesMax && !last) requestPaused_ = true;
  } else if (!answerBegun_) {
    dispatch(body, last);
  }
}

void ClientConnection::onRequestEnd() noexcept {
  if (exchange_ != nullptr) {
    if (parser_.contentLength() < 0) exchange_->sendBody({}, true);
  } else if (!answerBegun_) {
    dispatch({}, true);
    return;
  }
  if (answerComplete_ && out_.empty()) answerWritten();
}

// The head is here, the body is not: who asked for it hears that it may come.
void ClientConnection::expectBody() noexcept {
  const bool asks = parser_.expectsContinue() && !saidContinue_ && bodyBytes_ == 0;
  if (asks && !answerBegun_) {
    saidContinue_ = true;
    if (!send(kContinue)) return;
  }
  if (!requestPaused_) armFor(windowSinceMs_ + kBodyWindowMs);
}

void ClientConnection::onRequestDrain(Exchange& /*exchange*/) noexcept {
  requestPaused_ = false;
  windowSinceMs_ = front_.engine_.loop().nowMs();
  windowBytes_ = 0;
  watchAsNeeded();
  if (requestStreams()) armFor(windowSinceMs_ + kBodyWindowMs);
}

void ClientConnection::onWritable() noexcept {
  const ssize_t sent = sys::send(fd_, out_.data() + outSent_, out_.size() - outSent_);
  if (sent < 0) {
    if (!sys::isWouldBlock(errno)) close();
    return;
  }
  outSent_ += static_cast<size_t>(sent);
  writtenAtMs_ = front_.engine_.loop().nowMs();
  if (outSent_ < out_.size()) return;
  clearKeeping(out_);
  outSent_ = 0;
  watchAsNeeded();
  if (answerComplete_) {
    answerWritten();
  } else if (exchange_ != nullptr) {
    exchange_->resumeAnswer();
  }
}

// The answer is with the kernel, whole.
void ClientConnection::answerWritten() noexcept {
  if (!keepAlive_) {
    end();
  } else if (requestComplete_) {
    nextMessage();
  }
}

// Ends in order: the client gets all that was written, then FIN.
void ClientConnection::end() noexcept {
  shutdown(fd_, SHUT_WR);
  state_ = State::kLingering;
  stateSinceMs_ = front_.engine_.loop().nowMs();
  pending_.clear();
  watchAsNeeded();
  armFor(stateSinceMs_ + kLingerMs);
}

// The answer cannot be completed. A reset where the client could otherwise take its end for a clean
// one.
void ClientConnection::breakOff() noexcept {
  if (closeDelimited_) {
    const ::linger now{.l_onoff = 1, .l_linger = 0};
    (void)setsockopt(fd_, SOL_SOCKET, SO_LINGER, &now, sizeof now);
  }
  close();
}

void ClientConnection::close() noexcept {
  if (!isOpen()) return;
  cancelExchange();
  state_ = State::kClosed;
  Engine& engine = front_.engine_;
  engine.wheel().cancel(*this);
  engine.loop().unwatch(watch_);
  watch_ = nullptr;
  sys::close(fd_);
  fd_ = -1;
  front_.host_.onClientClosed();
  // Recycled outside every callback that might still stand on it.
  engine.loop().defer(this);
}

void ClientConnection::cancelExchange() noexcept {
  if (exchange_ == nullptr) return;
  exchange_->cancel();
  exchange_ = nullptr;
}

void ClientConnection::onDeferred() noexcept {
  if (!isOpen()) {
    clearKeeping(pending_);
    clearKeeping(out_);
    parser_.reset();
    front_.recycle(*this);
  } else if (state_ == State::kIdle && !pending_.empty()) {
    takePending({});
    if (isOpen()) watchAsNeeded();
  }
}

bool ClientConnection::requestStreams() const noexcept {
  return state_ == State::kRelaying && !requestComplete_;
}

void ClientConnection::watchAsNeeded() noexcept {
  if (!isOpen()) return;
  bool reads = true;
  if (state_ == State::kParked || (state_ == State::kRelaying && requestComplete_)) {
    reads = pending_.size() < kPendingBytesMax;
  } else if (state_ == State::kRelaying) {
    reads = !requestPaused_;
  } else if (state_ == State::kLingering) {
    // What comes beyond is left to the kernel: closing here would reset the connection, and the
    // client would lose the answer that it has not read yet.
    reads = lingerBytes_ <= kLingerBytesMax;
  }
  const bool owesAnswer = state_ == State::kParked || state_ == State::kRelaying;
  const uint32_t events = (reads ? kReadable : 0) | (out_.empty() ? 0 : kWritable) |
                          (!reads && owesAnswer ? kHangUp : 0);
  if (events == watched_) return;
  watched_ = events;
  front_.engine_.loop().change(watch_, events);
}

}  // namespace pointsman
