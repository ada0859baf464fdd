// A list that grows where memory may run out: `add` says whether it did.
//
// The parts of std::vector that request handling needs, with memory from operator new (nothrow).
// Owns its items. A view of them ends with the next call that adds.
#pragma once

#include <algorithm>
#include <cstddef>
#include <new>
#include <type_traits>
#include <utility>

namespace pointsman {

template <class T>
class GrowingArray {
  static_assert(std::is_nothrow_move_constructible_v<T>);
  static_assert(alignof(T) <= __STDCPP_DEFAULT_NEW_ALIGNMENT__);

 public:
  GrowingArray() noexcept = default;
  GrowingArray(const GrowingArray&) = delete;
  GrowingArray& operator=(const GrowingArray&) = delete;
  GrowingArray(GrowingArray&& other) noexcept { swap(other); }
  GrowingArray& operator=(GrowingArray&& other) noexcept {
    GrowingArray taken(std::move(other));
    swap(taken);
    return *this;
  }
  ~GrowingArray() {
    clear();
    ::operator delete(items_);
  }

  // False, and nothing changed, when there is no memory; also the next two.
  [[nodiscard]] bool add(T item) noexcept {
    if (size_ == capacity_ && !reserve(std::max(capacity_ * 2, kItemsFirst))) return false;
    ::new (static_cast<void*>(items_ + size_)) T(std::move(item));
    size_++;
    return true;
  }
  [[nodiscard]] bool reserve(size_t count) noexcept {
    if (count <= capacity_) return true;
    auto* larger = static_cast<T*>(::operator new(count * sizeof(T), std::nothrow));
    if (larger == nullptr) return false;
    for (size_t i = 0; i < size_; i++) {
      ::new (static_cast<void*>(larger + i)) T(std::move(items_[i]));
      items_[i].~T();
    }
    ::operator delete(items_);
    items_ = larger;
    capacity_ = count;
    return true;
  }
  // `count` items, those that are new of their type's default value.
  [[nodiscard]] bool resize(size_t count) noexcept {
    if (!reserve(count)) return false;
    while (size_ > count) removeLast();
    for (; size_ < count; size_++) ::new (static_cast<void*>(items_ + size_)) T{};
    return true;
  }

  void removeLast() noexcept { items_[--size_].~T(); }
  void removeFirst(size_t count) noexcept {
    if (count == 0) return;
    std::move(items_ + count, items_ + size_, items_);
    while (count-- > 0) removeLast();
  }
  void clear() noexcept {
    while (size_ > 0) removeLast();
  }
  void swap(GrowingArray& other) noexcept {
    std::swap(items_, other.items_);
    std::swap(size_, other.size_);
    std::swap(capacity_, other.capacity_);
  }

  bool empty() const noexcept { return size_ == 0; }
  size_t size() const noexcept { return size_; }
  size_t capacity() const noexcept { return capacity_; }
  T* data() noexcept { return items_; }
  const T* data() const noexcept { return items_; }
  T& operator[](size_t index) noexcept { return items_[index]; }
  const T& operator[](size_t index) const noexcept { return items_[index]; }
  T& front() noexcept { return items_[0]; }
  const T& front() const noexcept { return items_[0]; }
  T& back() noexcept { return items_[size_ - 1]; }
  const T& back() const noexcept { return items_[size_ - 1]; }
  T* begin() noexcept { return items_; }
  T* end() noexcept { return items_ + size_; }
  const T* begin() const noexcept { return items_; }
  const T* end() const noexcept { return items_ + size_; }

 private:
  static constexpr size_t kItemsFirst = 8;

  T* items_ = nullptr;
  size_t size_ = 0;
  size_t capacity_ = 0;
};

}  // namespace pointsman
