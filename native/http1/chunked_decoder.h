// Decodes the chunked transfer coding (RFC 9112, section 7.1), strictly and in any cut of the
// bytes.
//
// Extensions and trailers are checked and dropped: neither is ours to relay, and a trailer must
// never turn into a header field. One decoder per message direction; owns nothing but its state.
//
// clang-format off
//   kSizeFirst ─hex─► kSize ──────────CR─► kSizeLf ─size > 0─► kData ─► kDataCr ─► kDataLf ─► again
//                       └─;─► extension ─CR─► ┘  └─size 0─► kTrailerFirst ─CR─► kEndLf ─► kEnd
//   extension (blanks may stand around ';' and '='):
//   kExtensionStart ─token─► kExtensionName ─=─► kExtensionEquals ─token─► kExtensionValue ─;─► again
//                                              └─"─► kExtensionQuoted ─"─► kExtensionEnd ─;─► again
//   kTrailerFirst ─name─► kTrailerName ─:─► kTrailerValue ─CR─► kTrailerLf ─► kTrailerFirst
// clang-format on
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "http1/parse_error.h"

namespace pointsman {

inline constexpr uint64_t kBodyBytesMax = uint64_t{1} << 62;
// Bytes of one size line behind its first digit: leading zeros, blanks and extensions.
inline constexpr size_t kChunkLineBytesMax = 4'096;
// Bytes of a size line that no extension and no needless zero is part of.
inline constexpr size_t kChunkLineBytesFree = 16;

class ChunkedDecoder {
 public:
  struct Step {
    // Bytes of the input that are done with; `data`, when not empty, is the last of them.
    size_t consumed = 0;
    std::string_view data;
    ParseError error = ParseError::kNone;
    // The message is over; nothing behind `consumed` belongs to it.
    bool isEnd = false;
  };

  // `trailerBytesMax` bounds all trailer lines together, `extensionsBytesMax` what all size lines
  // hold beyond kChunkLineBytesFree each: where the sender is not to be trusted, tiny chunks with
  // long extensions are work for nothing.
  void reset(size_t trailerBytesMax, uint64_t extensionsBytesMax = UINT64_MAX) noexcept;

  // Reads up to the end of the next piece of data, the end of the input or the end of the message.
  // Call until the input is used up; do not call again after isEnd or an error.
  //
  // HOT: data is found without looking at its bytes; only size lines and trailers are read byte by
  // byte.
  Step next(std::string_view input) noexcept;

 private:
  enum class State : uint8_t {
    kSizeFirst,
    kSize,
    kBlanks,
    kExtensionStart,
    kExtensionName,
    kExtensionNameEnd,
    kExtensionEquals,
    kExtensionValue,
    kExtensionQuoted,
    kExtensionEscape,
    kExtensionEnd,
    kSizeLf,
    kData,
    kDataCr,
    kDataLf,
    kTrailerFirst,
    kTrailerName,
    kTrailerValue,
    kTrailerLf,
    kEndLf,
    kEnd,
  };

  ParseError readByte(char c) noexcept;
  ParseError readSizeByte(char c) noexcept;
  ParseError readSizeLineByte(char c) noexcept;
  ParseError readExtensionByte(char c) noexcept;
  ParseError readTrailerByte(char c) noexcept;

  State state_ = State::kSizeFirst;
  uint64_t chunkBytesLeft_ = 0;
  size_t lineBytes_ = 0;
  uint64_t extensionsBytesLeft_ = UINT64_MAX;
  size_t trailerBytesLeft_ = 0;
};

}  // namespace pointsman
