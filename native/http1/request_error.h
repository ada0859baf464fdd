// Why a client's request was refused, and what the client is told.
//
// A list of its own beside ParseError: each entry has a status, and a client has a right to a text
// that says which part of its message was wrong. The texts quote nothing of the message.
#pragma once

#include <cstdint>

namespace pointsman {

enum class RequestError : uint8_t {
  kNone,
  // More empty lines before the request line than kLeadingEmptyLinesMax.
  kEmptyLines,
  kMethod,
  kMethodTooLong,
  // CONNECT: this is no tunnel.
  kConnect,
  // No target, a byte that no URI has, a fragment, or a form that the method does not allow.
  kTarget,
  kTargetTooLong,
  // No "HTTP/" digit "." digit at the end of the request line.
  kVersion,
  kVersionUnsupported,
  kBareLineFeed,
  // A control byte in a field value; a CR that ends no line is one.
  kControlByte,
  // A field name that is empty, no token, or apart from its colon; a line without colon.
  kFieldName,
  // White space at the start of a field line: a continuation, or a first line that hides.
  kFoldedField,
  kHeadTooLarge,
  kTooManyFields,
  kHostMissing,
  kHostDuplicate,
  kHost,
  kAuthorizationDuplicate,
  // Not one decimal number, above 2^62, or given twice.
  kContentLength,
  // Not one `chunked`, or any in HTTP/1.0.
  kTransferEncoding,
  // A well-formed list of codings with one that is not implemented.
  kTransferCodingUnknown,
  // Content-Length together with Transfer-Encoding.
  kConflictingFraming,
  kExpectation,
  // A chunk's size line or end is malformed, or the size is above 2^62.
  kChunk,
  kChunkLineTooLarge,
  kTrailer,
  kTrailersTooLarge,
  // Ours: there was no memory for the head.
  kOutOfMemory,
};

inline constexpr uint8_t kRequestErrorCount = static_cast<uint8_t>(RequestError::kOutOfMemory) + 1;

// Status to refuse the request with: 400, 414, 417, 431, 501, 503 or 505; 200 for kNone. After any
// of them the connection must be closed, because what follows on it cannot be told apart.
int statusOf(RequestError error) noexcept;

// One sentence for people, without a full stop; lives for ever.
const char* reasonOf(RequestError error) noexcept;

// A fixed lower-case name such as "head_too_large", for logs and metric labels.
const char* nameOf(RequestError error) noexcept;

}  // namespace pointsman
