// Bytes that grow where memory may run out: what a std::string would be if it could say no.
//
// Failure is sticky, as of a stream: an append that gets no memory drops its bytes and all that
// come after it, so a message is put together without a test at every step and `failed` is asked
// once, where it is complete. What had been appended before stays, and so do views into it. After
// `clear` or `assign` the buffer may be used again, with the memory that it had.
// Owns its memory, which comes from operator new (nothrow) and is kept until `release`.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <new>
#include <string_view>
#include <utility>

namespace pointsman {

class ByteBuffer {
 public:
  ByteBuffer() noexcept = default;
  ByteBuffer(const ByteBuffer&) = delete;
  ByteBuffer& operator=(const ByteBuffer&) = delete;
  ByteBuffer(ByteBuffer&& other) noexcept { swap(other); }
  ByteBuffer& operator=(ByteBuffer&& other) noexcept {
    ByteBuffer taken(std::move(other));
    swap(taken);
    return *this;
  }
  ~ByteBuffer() { ::operator delete(data_); }

  // No part of the buffer itself. HOT: one comparison beside the copy.
  ByteBuffer& append(std::string_view bytes) noexcept {
    if (bytes.size() > limit_ - size_ && !grow(bytes.size())) return *this;
    if (!bytes.empty()) std::memcpy(data_ + size_, bytes.data(), bytes.size());
    size_ += bytes.size();
    return *this;
  }
  ByteBuffer& append(char byte) noexcept { return append(std::string_view(&byte, 1)); }
  ByteBuffer& assign(std::string_view bytes) noexcept {
    clear();
    return append(bytes);
  }

  // Room for `bytes` in all; false, and failed, when there is none to be had.
  bool reserve(size_t bytes) noexcept { return bytes <= limit_ || grow(bytes - size_); }
  void clear() noexcept {
    size_ = 0;
    limit_ = capacity_;
    failed_ = false;
  }
  // Gives the memory back.
  void release() noexcept { *this = ByteBuffer(); }
  // To `size` bytes, not more than there are.
  void truncate(size_t size) noexcept {
    size_ = size;
    if (failed_) limit_ = size;
  }
  void eraseFront(size_t bytes) noexcept {
    size_ -= bytes;
    if (size_ > 0) std::memmove(data_, data_ + bytes, size_);
    if (failed_) limit_ = size_;
  }
  void swap(ByteBuffer& other) noexcept {
    std::swap(data_, other.data_);
    std::swap(size_, other.size_);
    std::swap(limit_, other.limit_);
    std::swap(capacity_, other.capacity_);
    std::swap(failed_, other.failed_);
  }
  // As if an append had got no memory, for a part that its maker could not put together.
  void fail() noexcept {
    failed_ = true;
    limit_ = size_;
  }

  // Bytes are missing.
  bool failed() const noexcept { return failed_; }
  bool empty() const noexcept { return size_ == 0; }
  size_t size() const noexcept { return size_; }
  size_t capacity() const noexcept { return capacity_; }
  char* data() noexcept { return data_; }
  const char* data() const noexcept { return data_; }
  operator std::string_view() const noexcept { return {data_, size_}; }  // NOLINT: as std::string

 private:
  static constexpr size_t kBytesFirst = 64;

  // Off the path of every append that fits.
  [[gnu::cold, gnu::noinline]] bool grow(size_t more) noexcept {
    if (failed_) return false;
    const size_t capacity = std::max({size_ + more, capacity_ * 2, kBytesFirst});
    auto* larger = static_cast<char*>(::operator new(capacity, std::nothrow));
    if (larger == nullptr) {
      fail();
      return false;
    }
    if (size_ > 0) std::memcpy(larger, data_, size_);
    ::operator delete(data_);
    data_ = larger;
    limit_ = capacity_ = capacity;
    return true;
  }

  char* data_ = nullptr;
  size_t size_ = 0;
  // Where growing begins: the capacity, or the size once an append has failed.
  size_t limit_ = 0;
  size_t capacity_ = 0;
  bool failed_ = false;
};

}  // namespace pointsman
