#include "front/token_lane.h"

#include <array>
#include <cstring>

#include "net/sys.h"

namespace pointsman {

namespace {

constexpr size_t kReadBytes = size_t{16} * 1024;

struct Question {
  uint32_t bytes;
  uint32_t connection;
  uint32_t generation;
  uint32_t trustVersion;
};

struct Answer {
  uint32_t bytes;
  uint32_t connection;
  uint32_t generation;
  uint32_t trustVersion;
  uint32_t verdict;
};

constexpr uint32_t kRefused = 0;
constexpr uint32_t kUndecided = 2;

}  // namespace

TokenLane::TokenLane(Loop& loop, TimerWheel& wheel, TokenLaneHost& host, int fd) noexcept
    : loop_(loop), wheel_(wheel), host_(host), fd_(fd), watch_(loop.watch(fd, kReadable, this)) {
  if (watch_ == nullptr) close();
}

TokenLane::~TokenLane() {
  if (isGone_ != nullptr) *isGone_ = true;
  close();
}

bool TokenLane::ask(uint32_t connection, uint32_t generation,
                    std::string_view authorization) noexcept {
  const Question question{
      .bytes = static_cast<uint32_t>(sizeof(Question) - sizeof(uint32_t) + authorization.size()),
      .connection = connection,
      .generation = generation,
      .trustVersion = trustVersion_};
  const size_t bytes = sizeof question + authorization.size();
  if (!isOpen() || underWay_ >= kTokensMax || unsent_.size() + bytes > kUnsentBytesMax) {
    return false;
  }
  if (!unsent_.reserve(unsent_.size() + bytes)) {
    if (unsent_.empty()) unsent_.clear();
    return false;
  }
  std::array<char, sizeof question> head{};
  std::memcpy(head.data(), &question, sizeof question);
  unsent_.append({head.data(), head.size()}).append(authorization);
  if (underWay_++ == 0) {
    heardAtMs_ = loop_.nowMs();
    wheel_.arm(*this, heardAtMs_ + kSilenceMs);
  }
  return true;
}

bool TokenLane::flush() noexcept {
  if (!isOpen() || unsent_.empty()) return true;
  const ssize_t sent = sys::send(fd_, unsent_.data(), unsent_.size());
  if (sent < 0 && !sys::isWouldBlock(errno)) {
    lose();
    return false;
  }
  if (sent > 0) unsent_.eraseFront(static_cast<size_t>(sent));
  if (unsent_.empty()) unsent_.clear();
  loop_.change(watch_, unsent_.empty() ? kReadable : kReadable | kWritable);
  return true;
}

void TokenLane::onIo(uint32_t events) noexcept {
  if ((events & kWritable) != 0 && !flush()) return;
  if ((events & kReadable) != 0) read();
}

void TokenLane::read() noexcept {
  std::array<char, kReadBytes> read;  // NOLINT: written before it is read
  const ssize_t bytes = sys::recv(fd_, read.data(), read.size(), 0);
  if (bytes < 0 && sys::isWouldBlock(errno)) return;
  if (bytes <= 0 || received_.append({read.data(), static_cast<size_t>(bytes)}).failed()) {
    lose();
    return;
  }
  if (static_cast<size_t>(bytes) == read.size()) loop_.readAgain(watch_);
  takeAnswers();
}

void TokenLane::takeAnswers() noexcept {
  bool isGone = false;
  isGone_ = &isGone;
  heardAtMs_ = loop_.nowMs();
  size_t at = 0;
  while (received_.size() - at >= sizeof(uint32_t)) {
    Answer answer{};
    std::memcpy(&answer.bytes, received_.data() + at, sizeof answer.bytes);
    const size_t frame = sizeof answer.bytes + answer.bytes;
    if (frame < sizeof answer || frame > kAnswerBytesMax || underWay_ == 0) {
      isGone_ = nullptr;
      lose();
      return;
    }
    if (received_.size() - at < frame) break;
    std::memcpy(&answer, received_.data() + at, sizeof answer);
    const std::string_view said(received_.data() + at + sizeof answer, frame - sizeof answer);
    at += frame;
    underWay_--;
    const bool isOfTrust = answer.trustVersion == trustVersion_;
    if (isOfTrust && answer.verdict == kRefused) {
      host_.onTokenRefused(answer.connection, answer.generation);
    } else if (isOfTrust && answer.verdict == kUndecided) {
      host_.onTokenUndecided(answer.connection, answer.generation);
    } else {
      host_.onTokenPassed(answer.connection, answer.generation,
                          isOfTrust ? said : std::string_view{});
    }
    if (isGone) return;
  }
  isGone_ = nullptr;
  received_.eraseFront(at);
  if (underWay_ == 0) wheel_.cancel(*this);
}

// The thread has not answered for a while; perhaps because it was not asked for long.
void TokenLane::onTimeout() noexcept {
  if (loop_.nowMs() >= deadlineMs() + kLateMs) heardAtMs_ = loop_.nowMs();
  if (loop_.nowMs() >= heardAtMs_ + kSilenceMs) {
    lose();
  } else {
    wheel_.arm(*this, heardAtMs_ + kSilenceMs);
  }
}

void TokenLane::close() noexcept {
  wheel_.cancel(*this);
  if (watch_ != nullptr) loop_.unwatch(watch_);
  watch_ = nullptr;
  if (fd_ >= 0) sys::close(fd_);
  fd_ = -1;
}

void TokenLane::lose() noexcept {
  close();
  host_.onLaneLost();
}

}  // namespace pointsman
