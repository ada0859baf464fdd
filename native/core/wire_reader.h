// Reads a message in the wire format of protocol buffers, field by field, without a copy.
// Source: https://protobuf.dev/programming-guides/encoding/
//
// Borrows the bytes. Never reads outside of them, whatever they are: what is no message ends the
// reading, and `failed` says so.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace pointsman {

class WireReader {
 public:
  explicit WireReader(std::string_view message) noexcept
      : at_(message.data()), end_(message.data() + message.size()) {}

  // Goes to the next field; false at the end of the message, and where it is none.
  bool next() noexcept {
    value_ = 0;
    bytes_ = {};
    if (at_ == end_ || failed_) return false;
    const uint64_t tag = readVarint();
    constexpr uint64_t kNumberMax = (uint64_t{1} << 29) - 1;
    const uint64_t number = tag >> 3;
    if (number == 0 || number > kNumberMax) return fail();
    number_ = static_cast<uint32_t>(number);
    isVarint_ = (tag & 7) == 0;
    switch (tag & 7) {
      case 0:
        value_ = readVarint();
        return !failed_;
      case 1:
        return take(sizeof(uint64_t)).size() == sizeof(uint64_t);
      case 2:
        bytes_ = take(readVarint());
        return !failed_;
      case 5:
        return take(sizeof(uint32_t)).size() == sizeof(uint32_t);
      default:  // groups, which proto3 has not
        return fail();
    }
  }

  uint32_t number() const noexcept { return number_; }
  // Tells a number of a list that is not packed from a packed list, which may be empty.
  bool isVarint() const noexcept { return isVarint_; }
  // Of a field with a number, a truth value or a name of an enumeration; 0 for any other.
  uint64_t varint() const noexcept { return value_; }
  uint32_t uint32() const noexcept { return static_cast<uint32_t>(value_); }
  bool boolean() const noexcept { return value_ != 0; }
  // Of a field with a text, bytes, a message, or packed numbers; empty for any other.
  std::string_view bytes() const noexcept { return bytes_; }
  bool failed() const noexcept { return failed_; }

  // A number of a packed list, which has no fields: of a reader of the list's bytes. Check `atEnd`
  // before and `failed` after.
  uint64_t packed() noexcept { return readVarint(); }
  bool atEnd() const noexcept { return at_ == end_ || failed_; }

 private:
  bool fail() noexcept {
    failed_ = true;
    return false;
  }

  // Bits beyond the 64th are dropped, as everybody does.
  uint64_t readVarint() noexcept {
    constexpr unsigned kBitsMax = 70;
    uint64_t value = 0;
    for (unsigned shift = 0; shift < kBitsMax; shift += 7) {
      if (at_ == end_) break;
      const auto byte = static_cast<uint8_t>(*at_++);
      if (shift < 64) value |= uint64_t{byte & 0x7FU} << shift;
      if (byte < 0x80) return value;
    }
    failed_ = true;
    return 0;
  }

  std::string_view take(uint64_t bytes) noexcept {
    if (failed_ || bytes > static_cast<size_t>(end_ - at_)) {
      failed_ = true;
      return {};
    }
    const std::string_view taken(at_, static_cast<size_t>(bytes));
    at_ += bytes;
    return taken;
  }

  const char* at_;
  const char* end_;
  uint64_t value_ = 0;
  std::string_view bytes_{};
  uint32_t number_ = 0;
  bool isVarint_ = false;
  bool failed_ = false;
};

}  // namespace pointsman
