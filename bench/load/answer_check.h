// Holds one answer against what the stub would have sent: status, length, every byte of the body,
// and the served entity that the proxy names.
//
// One per connection; knows no socket. Body bytes come in any cut.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "../wire.h"

namespace pointsman::bench {

class AnswerCheck {
 public:
  // `expected` is a body of makeBody for the wanted size, borrowed; `sentBytes` is the size of the
  // request's body, which the answer repeats.
  AnswerCheck(const std::string& expected, uint64_t sentBytes) noexcept
      : expected_(expected), sentBytes_(sentBytes) {}

  void start() noexcept {
    bodyBytes_ = 0;
    isBodyRight_ = true;
    servedEntity_ = 0;
  }

  // What `served-model-name` says; proxies that do not know it send none.
  void onServedEntity(std::string_view name) noexcept {
    servedEntity_ = name.size() == 1 ? name[0] : '?';
  }

  // HOT: a comparison of memory per read.
  void onBody(std::string_view bytes) noexcept {
    if (bodyBytes_ < kBodyPrefixBytes) {
      const size_t taken = std::min(bytes.size(), kBodyPrefixBytes - bodyBytes_);
      std::memcpy(prefix_.data() + bodyBytes_, bytes.data(), taken);
      bodyBytes_ += taken;
      bytes.remove_prefix(taken);
    }
    if (bodyBytes_ + bytes.size() > expected_.size() ||
        std::memcmp(expected_.data() + bodyBytes_, bytes.data(), bytes.size()) != 0) {
      isBodyRight_ = false;
    }
    bodyBytes_ += bytes.size();
  }

  // After the last byte.
  bool isBodyRight() const noexcept {
    if (!isBodyRight_ || bodyBytes_ != expected_.size()) return false;
    const std::string_view prefix(prefix_.data(), prefix_.size());
    return prefix.starts_with(kBodyStart) &&
           prefix.substr(kBodyEntityAt + 1).starts_with(kBodyReceived) &&
           readNumber(prefix.substr(kBodyReceivedAt)) == sentBytes_;
  }

  // Who answered, by the body.
  char entity() const noexcept { return prefix_[kBodyEntityAt]; }
  bool isEntityRight() const noexcept { return servedEntity_ == 0 || servedEntity_ == entity(); }

 private:
  const std::string& expected_;
  uint64_t sentBytes_;
  size_t bodyBytes_ = 0;
  bool isBodyRight_ = true;
  char servedEntity_ = 0;
  std::array<char, kBodyPrefixBytes> prefix_{};
};

}  // namespace pointsman::bench
