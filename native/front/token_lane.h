// The way of unknown tokens to the thread that verifies them and back, past the loop's JS: a flood
// of bad ones costs the loop a few microseconds each, and requests do not wait behind it.
//
// One end of a stream socket pair; the thread has the other (src/auth/token-lane.ts). Frames each
// way, in this machine's byte order:
//
//   uint32 bytes that follow, uint32 connection, uint32 generation, uint32 trust version, then
//   asked:    the Authorization value
//   answered: uint32 verdict (0: refused; 1: passed on; 2: undecided), and what a good token says,
//             or nothing
//
// The thread refuses what no key and no identity could make good, and keys that nobody has heard of
// for a second behind a look for them. All else is passed on, with what a good signature proved, to
// the loop's JS, which knows the rest; or nobody has the time to look, and the client may ask
// again. A verdict of another trust version than the loop's proves nothing and is passed on bare.
//
// Bounded: tokens under way, bytes that wait to be written, an answer, and the time without one. A
// lane that breaks one of them, or whose thread has ended, is lost: everybody is told to ask
// elsewhere. Thread: the loop's. Owns its descriptor; borrows loop, wheel and host.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "core/byte_buffer.h"
#include "net/loop.h"
#include "net/timer_wheel.h"

namespace pointsman {

class TokenLaneHost {
 public:
  // No later answer comes for the same question. None of these destroys the lane but the last two.
  virtual void onTokenRefused(uint32_t connection, uint32_t generation) noexcept = 0;
  virtual void onTokenUndecided(uint32_t connection, uint32_t generation) noexcept = 0;
  // `verified`: what the token says (JSON), of the present trust; empty: nobody could tell.
  virtual void onTokenPassed(uint32_t connection, uint32_t generation,
                             std::string_view verified) noexcept = 0;
  // No answer comes any more.
  virtual void onLaneLost() noexcept = 0;

 protected:
  ~TokenLaneHost() = default;
};

class TokenLane final : private IoWatcher, private Timer {
 public:
  static constexpr size_t kTokensMax = 1024;
  static constexpr size_t kUnsentBytesMax = size_t{4} * 1024 * 1024;
  static constexpr size_t kAnswerBytesMax = size_t{1024} * 1024;
  static constexpr uint64_t kSilenceMs = 3'000;
  // A loop that comes to its timers this late has not read what the thread has said meanwhile.
  static constexpr uint64_t kLateMs = 500;

  // Takes the descriptor over, which does not block.
  TokenLane(Loop& loop, TimerWheel& wheel, TokenLaneHost& host, int fd) noexcept;
  ~TokenLane();
  TokenLane(const TokenLane&) = delete;
  TokenLane& operator=(const TokenLane&) = delete;

  bool isOpen() const noexcept { return watch_ != nullptr; }
  // Of the keys that verdicts must come from.
  void setTrustVersion(uint32_t version) noexcept { trustVersion_ = version; }
  // False: as much as may be is under way. Nothing is sent before `flush`.
  bool ask(uint32_t connection, uint32_t generation, std::string_view authorization) noexcept;
  // False: the lane is lost, and perhaps destroyed.
  bool flush() noexcept;
  // Ends it without a word to the host.
  void close() noexcept;

 private:
  void onIo(uint32_t events) noexcept override;
  void onTimeout() noexcept override;
  void read() noexcept;
  void takeAnswers() noexcept;
  void lose() noexcept;

  Loop& loop_;
  TimerWheel& wheel_;
  TokenLaneHost& host_;
  int fd_;
  Loop::Watch* watch_;
  uint32_t trustVersion_ = 0;
  size_t underWay_ = 0;
  uint64_t heardAtMs_ = 0;
  ByteBuffer unsent_;
  ByteBuffer received_;
  // Of the call of the host that may destroy the lane; else nullptr.
  bool* isGone_ = nullptr;
};

}  // namespace pointsman
