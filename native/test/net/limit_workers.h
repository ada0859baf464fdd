// Workers that share limits, as far as admission sees them: words, eventfds and requests, without
// connections.
//
// Each worker has an Admission with a loop of its own or one that it shares with others; the clock
// of those loops moves only when a test moves it, so nothing is put right by a rescue unless the
// test asks for one.
#pragma once

#include <sys/eventfd.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "core/limiter.h"
#include "net/admission.h"
#include "test/net/epoll_loop.h"

namespace pointsman::test {

constexpr uint32_t kSlots = 8;

// The words of all workers and of the retired one, and an eventfd per worker.
class LimitMemory {
 public:
  explicit LimitMemory(uint32_t workers) : words_(workers + size_t{1}), waiters_(workers) {
    for (uint32_t worker = 0; worker < workers; worker++) {
      wakeFds_.push_back(eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC));
    }
  }
  ~LimitMemory() {
    for (const int fd : wakeFds_) close(fd);
  }
  LimitMemory(const LimitMemory&) = delete;
  LimitMemory& operator=(const LimitMemory&) = delete;

  AdmissionPeers peersOf(uint32_t self) {
    AdmissionPeers peers{.columns = {}, .self = self, .wakeFds = wakeFds_};
    for (size_t worker = 0; worker < waiters_.size(); worker++) {
      peers.columns.push_back({.waiters = &waiters_[worker], .words = words_[worker].data()});
    }
    return peers;
  }

  // What the supervisor does when a worker's exit is confirmed.
  void retire(uint32_t worker) {
    for (uint32_t slot = 0; slot < kSlots; slot++) {
      retireLimit(words_[worker][slot], words_.back()[slot]);
    }
    waiters_[worker].store(0);
    const uint64_t one = 1;
    for (const int fd : wakeFds_) (void)!::write(fd, &one, sizeof one);
  }

  uint64_t reserved(uint32_t slot) const {
    return sum(slot, [](const LimitWords& words) -> uint64_t { return words.reserved.load(); });
  }
  uint64_t waiting(uint32_t slot) const {
    return sum(slot, [](const LimitWords& words) -> uint64_t { return words.waiting.load(); });
  }
  uint64_t refusedFull(uint32_t slot) const {
    return sum(slot, [](const LimitWords& words) { return words.refusedFull; });
  }
  // Nobody holds, waits, or says that somebody waits.
  bool isQuiet() const {
    uint64_t left = 0;
    for (uint32_t slot = 0; slot < kSlots; slot++) {
      left += reserved(slot) + waiting(slot) +
              sum(slot, [](const LimitWords& words) { return words.oldestUs.load(); });
    }
    for (const auto& waiters : waiters_) left += waiters.load();
    return left == 0;
  }

 private:
  uint64_t sum(uint32_t slot, const std::function<uint64_t(const LimitWords&)>& read) const {
    uint64_t total = 0;
    for (const auto& column : words_) total += read(column[slot]);
    return total;
  }

  std::vector<std::array<LimitWords, kSlots>> words_;
  std::vector<std::atomic<uint32_t>> waiters_;
  std::vector<int> wakeFds_;
};

class LimitRequest final : public Ticket {
 public:
  bool isAdmitted() const { return isAdmitted_; }
  void setAdmitted() { isAdmitted_ = true; }
  // After setAdmitted, from the loop.
  std::function<void()> onGo{};

 private:
  void onAdmitted() noexcept override {
    isAdmitted_ = true;
    if (onGo) onGo();
  }
  bool isAdmitted_ = false;
};

}  // namespace pointsman::test
