// Why a message was refused; one list for the parsers, the exchange's failure reasons and the
// metrics.
#pragma once

#include <cstdint>
#include <string_view>

namespace pointsman {

enum class ParseError : uint8_t {
  kNone,
  // The first line is no status line of HTTP/1.0 or HTTP/1.1 with a status from 100 to 599.
  kStatusLine,
  // A line ends in LF without CR.
  kBareLineFeed,
  // A control byte in a reason phrase or field value; a CR that ends no line is one.
  kControlByte,
  kHeadTooLarge,
  kTooManyFields,
  // A field name that is empty, no token, or apart from its colon.
  kFieldName,
  // A line that continues the field before it.
  kFoldedField,
  // Not one decimal number, above 2^62, or given twice.
  kContentLength,
  // Anything but one `chunked`, or any in an answer of HTTP/1.0.
  kTransferEncoding,
  // Content-Length together with Transfer-Encoding.
  kConflictingFraming,
  // A chunk's size line or end is malformed, or the size is above 2^62.
  kChunk,
  kChunkLineTooLarge,
  // A trailer field is malformed.
  kTrailer,
  kTrailersTooLarge,
  kTooManyInterim,
  // 101 although no upgrade was asked for.
  kUnexpectedUpgrade,
  // The stream ended before the first byte, within a head, within the body.
  kEofBeforeStart,
  kEofInHead,
  kEofInBody,
  // Bytes were given to a parser that had answered kEnd.
  kBytesAfterEnd,
  // Ours: there was no memory for the head.
  kOutOfMemory,
};

// A fixed lower-case name such as "head_too_large", for logs and metric labels.
constexpr std::string_view parseErrorName(ParseError error) noexcept {
  switch (error) {
    case ParseError::kNone:
      return "none";
    case ParseError::kStatusLine:
      return "status_line";
    case ParseError::kBareLineFeed:
      return "bare_line_feed";
    case ParseError::kControlByte:
      return "control_byte";
    case ParseError::kHeadTooLarge:
      return "head_too_large";
    case ParseError::kTooManyFields:
      return "too_many_fields";
    case ParseError::kFieldName:
      return "field_name";
    case ParseError::kFoldedField:
      return "folded_field";
    case ParseError::kContentLength:
      return "content_length";
    case ParseError::kTransferEncoding:
      return "transfer_encoding";
    case ParseError::kConflictingFraming:
      return "conflicting_framing";
    case ParseError::kChunk:
      return "chunk";
    case ParseError::kChunkLineTooLarge:
      return "chunk_line_too_large";
    case ParseError::kTrailer:
      return "trailer";
    case ParseError::kTrailersTooLarge:
      return "trailers_too_large";
    case ParseError::kTooManyInterim:
      return "too_many_interim";
    case ParseError::kUnexpectedUpgrade:
      return "unexpected_upgrade";
    case ParseError::kEofBeforeStart:
      return "eof_before_start";
    case ParseError::kEofInHead:
      return "eof_in_head";
    case ParseError::kEofInBody:
      return "eof_in_body";
    case ParseError::kBytesAfterEnd:
      return "bytes_after_end";
    case ParseError::kOutOfMemory:
      return "out_of_memory";
  }
  return "none";
}

}  // namespace pointsman
