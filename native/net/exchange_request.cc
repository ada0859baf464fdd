// What an exchange sends: the request is copied together here, for every attempt that there may be.
#include <array>

#include "net/engine.h"
#include "net/exchange.h"
#include "net/sys.h"

namespace pointsman {

void Exchange::copyHead(const RequestHead& head) noexcept {
  method_.assign(head.method);
  query_.assign(deployment_->protocol == Protocol::kMlflow ? std::string_view() : head.query);
  path_.assign(isLocal() ? head.path : std::string_view());
  headMethod_ = head.method == "HEAD";
  isNative_ = head.isNative;
  idempotent_ = isIdempotent(head.method);
  chunkedRequest_ = head.contentLength < 0;
  requestBytesLeft_ = chunkedRequest_ ? 0 : static_cast<uint64_t>(head.contentLength);
  replayable_ = true;
}

// A part of the request is missing.
bool Exchange::isOutOfMemory() const noexcept {
  return method_.failed() || query_.failed() || path_.failed() || out_.failed();
}

// The set may change while the exchange lives, so an index into it is good for this moment only.
// False when there is no memory.
bool Exchange::useAddress(uint32_t index) noexcept {
  const AddressSet::Entry& entry = deployment_->addresses->entry(index);
  address_ = entry.address;
  prefix_.assign(method_).append(" ").append(isLocal() ? std::string_view{path_} : entry.target);
  if (!query_.empty()) prefix_.append("?").append(query_);
  prefix_.append(" HTTP/1.1\r\n").append(entry.hostLine);
  return !prefix_.failed();
}

size_t Exchange::sendBody(std::string_view body, bool last) noexcept {
  if (!live() || requestComplete_ || failLater_ != Failure::kNone) return 0;
  // Behind a connection that broke it is kept as long as the request may still go to another one.
  if (sendBroken_ && (headRelayed_ || (wrote_ && !replayable_))) return 0;
  const bool wasWaiting = waitingBytes() > 0;
  const bool isExpected = appendBody(body, last);
  if (!isExpected || out_.failed()) {
    failLater(isExpected ? Failure::kOutOfMemory : Failure::kBadRequest);
    return 0;
  }
  if (connection_ != nullptr && state_ != State::kConnecting) {
    flush();
    // It waited for the client until now, without a time; the replica may have taken nothing.
    if (!answerPaused_ && !wasWaiting) armReplica();
  }
  const size_t waiting = waitingBytes();
  if (waiting > kRequestBufferBytesMax) {
    doorPaused_ = true;
  } else if (doorPaused_ && waiting == 0) {
    // Sent although the door was asked to pause, and all of it is gone: no writable event will
    // follow.
    engine_.loop().defer(this);
  }
  return waiting;
}

// False when the body is not as long as was said: what is sent then would be read as another
// request.
bool Exchange::appendBody(std::string_view body, bool last) noexcept {
  if (chunkedRequest_) {
    if (!body.empty()) {
      appendNumber(out_, body.size(), 16);
      out_.append("\r\n").append(body).append("\r\n");
    }
    if (last) out_.append("0\r\n\r\n");
  } else {
    if (body.size() > requestBytesLeft_) return false;
    requestBytesLeft_ -= body.size();
    if (last && requestBytesLeft_ > 0) return false;
    out_.append(body);
  }
  // What was begun and cannot be completed must never leave a connection that another may use.
  requestComplete_ = last && !out_.failed();
  if (out_.size() > kReplayBytesMax) replayable_ = false;
  return true;
}

size_t Exchange::waitingBytes() const noexcept {
  return prefix_.size() - prefixSent_ + out_.size() - outSent_;
}

ssize_t Exchange::sendWaiting() noexcept {
  const std::string_view prefix{prefix_.data() + prefixSent_, prefix_.size() - prefixSent_};
  const std::string_view rest{out_.data() + outSent_, out_.size() - outSent_};
  const int fd = connection_->fd();
  if (prefix.empty()) return sys::send(fd, rest.data(), rest.size());
  if (prefix.size() + rest.size() <= sys::kOneSendBytesMax) {
    ByteBuffer& whole = engine_.sendBuffer();
    whole.assign(prefix).append(rest);
    if (!whole.failed()) return sys::send(fd, whole.data(), whole.size());
  }
  std::array<iovec, 2> parts{
      {{prefix_.data() + prefixSent_, prefix.size()}, {out_.data() + outSent_, rest.size()}}};
  return sys::sendParts(fd, parts.data(), parts.size());
}

}  // namespace pointsman
