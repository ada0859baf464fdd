// Shared ownership within one thread: an intrusive count without atomics.
// std::shared_ptr would pay two atomic operations per request, because the process has other
// threads.
#pragma once

#include <cstdint>
#include <type_traits>
#include <utility>

namespace pointsman {

template <class T>
class RefCounted {
 public:
  RefCounted() = default;
  RefCounted(const RefCounted&) = delete;
  RefCounted& operator=(const RefCounted&) = delete;

 protected:
  ~RefCounted() = default;

 private:
  template <class U>
  friend class Ref;
  mutable uint32_t references_ = 0;
};

template <class T>
class Ref {
  using Counted = RefCounted<std::remove_const_t<T>>;

 public:
  Ref() noexcept = default;
  explicit Ref(T* object) noexcept : object_(object) { retain(); }
  Ref(const Ref& other) noexcept : object_(other.object_) { retain(); }
  Ref(Ref&& other) noexcept : object_(std::exchange(other.object_, nullptr)) {}
  Ref& operator=(Ref other) noexcept {
    std::swap(object_, other.object_);
    return *this;
  }
  ~Ref() { release(); }

  T* get() const noexcept { return object_; }
  T* operator->() const noexcept { return object_; }
  T& operator*() const noexcept { return *object_; }
  explicit operator bool() const noexcept { return object_ != nullptr; }
  // No other reference to the object exists.
  bool unique() const noexcept {
    return object_ != nullptr && static_cast<const Counted*>(object_)->references_ == 1;
  }
  void reset() noexcept { *this = Ref(); }

 private:
  void retain() noexcept {
    if (object_ != nullptr) static_cast<const Counted*>(object_)->references_++;
  }
  void release() noexcept {
    if (object_ == nullptr) return;
    if (--static_cast<const Counted*>(object_)->references_ == 0) delete object_;
    object_ = nullptr;
  }

  T* object_ = nullptr;
};

template <class T, class... Args>
Ref<T> makeRef(Args&&... args) {
  return Ref<T>(new T(std::forward<Args>(args)...));
}

}  // namespace pointsman
