// What tests of messages share: a writer of the wire format, and bytes in memory of exactly their
// size.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

namespace pointsman::test {

constexpr uint32_t kWireVarint = 0;
constexpr uint32_t kWireFixed64 = 1;
constexpr uint32_t kWireBytes = 2;
constexpr uint32_t kWireFixed32 = 5;

inline std::string wireVarint(uint64_t value) {
  std::string bytes;
  for (; value >= 0x80; value >>= 7) bytes += static_cast<char>(0x80 | (value & 0x7F));
  return bytes += static_cast<char>(value);
}

inline std::string wireTag(uint64_t number, uint32_t kind) {
  return wireVarint(number << 3 | kind);
}

inline std::string wireNumber(uint64_t number, uint64_t value) {
  return wireTag(number, kWireVarint) + wireVarint(value);
}

inline std::string wireBytes(uint64_t number, std::string_view bytes) {
  return wireTag(number, kWireBytes) + wireVarint(bytes.size()).append(bytes);
}

// A copy that ends where its memory ends: the sanitizer sees a read beyond it.
class ExactBytes {
 public:
  explicit ExactBytes(std::string_view bytes) : data_(new char[bytes.size()]), size_(bytes.size()) {
    bytes.copy(data_.get(), size_);
  }

  std::string_view view() const noexcept { return {data_.get(), size_}; }
  // Views of nothing may point anywhere: nobody reads them.
  bool holds(std::string_view part) const noexcept {
    const std::less_equal<> notAfter;
    return part.empty() || (notAfter(data_.get(), part.data()) &&
                            notAfter(part.data() + part.size(), data_.get() + size_));
  }

 private:
  std::unique_ptr<char[]> data_;
  size_t size_;
};

}  // namespace pointsman::test
