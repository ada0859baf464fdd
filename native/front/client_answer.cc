// What a connection says to its client: relayed answers, answers of the front's own, and the way of
// both to the kernel.
#include <sys/uio.h>

#include <array>
#include <cerrno>

#include "front/client_connection.h"
#include "front/front.h"
#include "front/invocation_path.h"
#include "net/request_head.h"
#include "net/sys.h"

namespace pointsman {

namespace {

constexpr std::string_view kLastChunk = "0\r\n\r\n";
constexpr std::string_view kChunkEnd = "\r\n";
constexpr std::string_view kChunkEndAndLast = "\r\n0\r\n\r\n";

}  // namespace

std::string_view ClientConnection::requestId() const noexcept {
  const std::string_view theirs = parser_.headComplete() ? parser_.requestId() : std::string_view();
  return isEchoedRequestId(theirs) ? theirs
                                   : std::string_view(databricksRequestId_, kRequestIdBytes);
}

// Answers by ourselves. `status` 0: the refusal's own.
void ClientConnection::refuse(Refusal refusal, std::string_view reason, int status) noexcept {
  if (answerBegun_) {
    // Too late for words: the client must not take what it has for the whole.
    if (!answerComplete_)
      breakOff();
    else if (!keepAlive_ && out_.empty() && state_ != State::kLingering)
      end();
    return;
  }
  cancelExchange();
  if (!parser_.headComplete()) writeRequestId(front_.engine_.rng(), databricksRequestId_);
  state_ = State::kRelaying;
  dropsBody_ = true;
  if (!requestComplete_ && keepAlive_) {
    const int64_t length = parser_.contentLength();
    const bool comes = !parser_.expectsContinue() || saidContinue_ || length == 0;
    keepAlive_ = comes && length >= 0 && static_cast<uint64_t>(length) <= kDroppedBodyBytesMax;
  }
  const RefusalText& text = front_.settings_.refusals[static_cast<size_t>(refusal)];
  front_.engine_.column().header.refusals[text.codeNumber % kRefusalsMax]++;
  InvocationPath path;
  if (parser_.headComplete()) {
    parseInvocationPath(parser_.path(), front_.settings_.workspaceId, path);
  }
  fillRefusal(
      text,
      {.endpoint = path.endpoint, .served = path.served, .entity = servedModel_, .reason = reason},
      front_.body_);
  ByteBuffer& head = front_.head_;
  head.clear();
  appendStatusLine(status != 0 ? status : text.status, head);
  head.append("content-type: application/json\r\nx-pointsman-error: ").append(text.code);
  head.append("\r\n");
  if (text.retryAfterS != 0) {
    head.append("retry-after: ");
    appendNumber(head, text.retryAfterS, 10);
    head.append("\r\n");
  }
  if (!text.allow.empty()) head.append("allow: ").append(text.allow).append("\r\n");
  if (!text.challenge.empty()) {
    head.append("www-authenticate: ").append(text.challenge).append("\r\n");
  }
  writeOwn(front_.body_.failed() ? std::string_view() : front_.body_);
}

// RFC 9110, 9.3.7: asks what the server as a whole can do.
void ClientConnection::answerOptions() noexcept {
  dropsBody_ = true;
  const int64_t length = parser_.contentLength();
  if (length < 0 || static_cast<uint64_t>(length) > kDroppedBodyBytesMax) keepAlive_ = false;
  // Not told to go on, the client may leave the body out.
  if (parser_.expectsContinue()) keepAlive_ = false;
  front_.head_.clear();
  appendStatusLine(200, front_.head_);
  front_.head_.append("allow: GET, HEAD, POST, OPTIONS\r\n");
  writeOwn({});
}

// The rest of an answer of our own, whose status line and fields are in front_.head_.
void ClientConnection::writeOwn(std::string_view body) noexcept {
  appendIds({.requestId = requestId(),
             .databricksRequestId = {databricksRequestId_, kRequestIdBytes},
             .servedModel = servedModel_,
             .revision = revision_},
            front_.head_);
  composeFraming(static_cast<int64_t>(body.size()), true);
  answerBegun_ = answerComplete_ = true;
  if (front_.head_.failed()) {
    close();
    return;
  }
  if (!send(front_.head_, headRequest_ ? std::string_view() : body)) return;
  if (out_.empty()) answerWritten();
}

void ClientConnection::onAnswer(Exchange& /*exchange*/, const AnswerEvent& event) noexcept {
  if (event.end) exchange_ = nullptr;
  front_.head_.clear();
  if (event.hasHead) composeHead(event);
  std::string_view tail;
  if (chunkedAnswer_) {
    if (!event.body.empty()) {
      appendNumber(front_.head_, event.body.size(), 16);
      front_.head_.append(kChunkEnd);
      tail = event.end ? kChunkEndAndLast : kChunkEnd;
    } else if (event.end) {
      tail = kLastChunk;
    }
  }
  answerBegun_ = true;
  answerComplete_ = event.end;
  if (front_.head_.failed()) {
    breakOff();
    return;
  }
  if (!send(front_.head_, event.body, tail)) return;
  if (!out_.empty()) {
    if (exchange_ != nullptr) exchange_->pauseAnswer();
  } else if (answerComplete_) {
    answerWritten();
  }
}

void ClientConnection::composeHead(const AnswerEvent& event) noexcept {
  // What is left of a request that was answered early cannot be told from the next one.
  if (!requestComplete_) keepAlive_ = false;
  appendStatusLine(event.status, front_.head_);
  front_.head_.append(event.fields);
  if (route_ == Route::kInvocation) {
    appendIds({.requestId = requestId(),
               .databricksRequestId = {databricksRequestId_, kRequestIdBytes},
               .servedModel = servedModel_,
               .revision = revision_},
              front_.head_);
  }
  int64_t length = event.contentLength;
  // All of it came at once: then its length is known, whatever framing the replica used.
  if (length < 0 && event.end && event.bodyAllowed)
    length = static_cast<int64_t>(event.body.size());
  composeFraming(length, event.bodyAllowed);
}

// Date, the one field that frames the body, and what becomes of the connection; ends the head.
void ClientConnection::composeFraming(int64_t contentLength, bool bodyAllowed) noexcept {
  ByteBuffer& head = front_.head_;
  head.append("date: ").append(front_.date_.at(front_.unixS())).append("\r\n");
  if (contentLength >= 0) {
    head.append("content-length: ");
    appendNumber(head, static_cast<uint64_t>(contentLength), 10);
    head.append("\r\n");
  } else if (bodyAllowed) {
    // RFC 9112, 6.1: a client of HTTP/1.0 does not know chunks.
    chunkedAnswer_ = !parser_.isHttp10();
    closeDelimited_ = !chunkedAnswer_;
    if (chunkedAnswer_) head.append("transfer-encoding: chunked\r\n");
  }
  if (front_.draining_ || closeDelimited_) keepAlive_ = false;
  if (!keepAlive_) {
    head.append("connection: close\r\n");
  } else if (parser_.isHttp10()) {
    head.append("connection: keep-alive\r\n");
  }
  head.append("\r\n");
}

void ClientConnection::onFailure(Exchange& /*exchange*/, Failure failure,
                                 bool /*headRelayed*/) noexcept {
  exchange_ = nullptr;
  if (answerBegun_) {
    breakOff();
    return;
  }
  // The verdict that it waits for must not meet the next message.
  if (state_ == State::kParked) keepAlive_ = false;
  // Fields that cannot be relayed are the client's, whoever would have read them.
  const bool isOurs = route_ == Route::kLocal && failure != Failure::kOutOfMemory &&
                      failure != Failure::kBadRequest;
  refuse(isOurs ? Refusal::kLocalFailed : refusalOf(failure));
}

ssize_t ClientConnection::sendParts(const std::array<std::string_view, 3>& parts) noexcept {
  const auto& [a, b, c] = parts;
  const size_t bytes = a.size() + b.size() + c.size();
  if (bytes == a.size()) return bytes == 0 ? 0 : sys::send(fd_, a.data(), bytes);
  if (bytes <= sys::kOneSendBytesMax) {
    ByteBuffer& whole = front_.engine_.sendBuffer();
    whole.assign(a).append(b).append(c);
    if (!whole.failed()) return sys::send(fd_, whole.data(), bytes);
  }
  std::array<iovec, 3> vectors{};
  size_t count = 0;
  for (const std::string_view part : parts) {
    if (part.empty()) continue;
    vectors[count++] = {const_cast<char*>(part.data()), part.size()};  // NOLINT: only read
  }
  return sys::sendParts(fd_, vectors.data(), count);
}

// False when the connection is closed: the client is gone, or there is no memory for what it does
// not take now.
bool ClientConnection::send(std::string_view a, std::string_view b, std::string_view c) noexcept {
  std::array<std::string_view, 3> parts{a, b, c};
  if (out_.empty()) {
    const ssize_t sent = sendParts(parts);
    if (sent < 0 && !sys::isWouldBlock(errno)) {
      close();
      return false;
    }
    size_t taken = sent < 0 ? 0 : static_cast<size_t>(sent);
    for (std::string_view& part : parts) {
      const size_t skipped = std::min(taken, part.size());
      part.remove_prefix(skipped);
      taken -= skipped;
    }
  }
  const bool wasEmpty = out_.empty();
  for (const std::string_view part : parts) out_.append(part);
  if (out_.failed()) {
    breakOff();
    return false;
  }
  if (wasEmpty && !out_.empty()) {
    outSent_ = 0;
    writtenAtMs_ = front_.engine_.loop().nowMs();
    armFor(writtenAtMs_ + kWriteStallMs);
    watchAsNeeded();
  }
  return true;
}

}  // namespace pointsman
