// Work that waits for the next turn of a loop, in order of arrival.
//
// Both loops (libuv's and the tests' epoll) keep theirs here, so what runs in production runs under
// sanitizers. Intrusive: a task is owned by whoever defers it, and may defer, take back or free
// tasks as it runs. Thread: the loop's.
#pragma once

#include <cstddef>

namespace pointsman {

class Deferred {
 public:
  virtual void onDeferred() noexcept = 0;

 protected:
  ~Deferred() = default;

 private:
  friend class DeferredQueue;
  Deferred* next_ = nullptr;
  bool isQueued_ = false;
};

class DeferredQueue {
 public:
  bool empty() const noexcept { return first_ == nullptr; }

  size_t size() const noexcept {
    size_t count = 0;
    for (const Deferred* at = first_; at != nullptr; at = at->next_) count++;
    return count;
  }

  // No effect when the task is queued already.
  void add(Deferred& task) noexcept {
    if (task.isQueued_) return;
    task.isQueued_ = true;
    task.next_ = nullptr;
    (last_ != nullptr ? last_->next_ : first_) = &task;
    last_ = &task;
  }

  // Takes the task back; no effect when it is not queued.
  void remove(Deferred& task) noexcept {
    if (!task.isQueued_) return;
    task.isQueued_ = false;
    Deferred* before = nullptr;
    for (Deferred* at = first_; at != &task; at = at->next_) before = at;
    (before != nullptr ? before->next_ : first_) = task.next_;
    if (last_ == &task) last_ = before;
  }

  // Runs what is queued now; what the tasks add themselves waits for the next run.
  void run() noexcept {
    for (size_t left = size(); left > 0 && first_ != nullptr; left--) {
      Deferred* task = first_;
      first_ = task->next_;
      if (first_ == nullptr) last_ = nullptr;
      task->isQueued_ = false;
      task->onDeferred();
    }
  }

 private:
  Deferred* first_ = nullptr;
  Deferred* last_ = nullptr;
};

}  // namespace pointsman
