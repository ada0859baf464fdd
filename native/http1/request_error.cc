// One table, in the order of the list.
#include "http1/request_error.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <string_view>

namespace pointsman {

namespace {

struct Entry {
  RequestError error;
  int status;
  const char* name;
  const char* reason;
};

constexpr std::array<Entry, kRequestErrorCount> kEntries = {{
    {RequestError::kNone, 200, "none", "the request is well-formed"},
    {RequestError::kEmptyLines, 400, "empty_lines",
     "there are too many empty lines before the request line"},
    {RequestError::kMethod, 400, "method", "the request line does not start with a method"},
    {RequestError::kMethodTooLong, 501, "method_too_long",
     "the method is longer than any that is implemented"},
    {RequestError::kConnect, 501, "connect", "CONNECT is not implemented"},
    {RequestError::kTarget, 400, "target", "the request target is malformed"},
    {RequestError::kTargetTooLong, 414, "target_too_long", "the request target is too long"},
    {RequestError::kVersion, 400, "version",
     "the request line does not end with an HTTP version after a single space"},
    {RequestError::kVersionUnsupported, 505, "version_unsupported",
     "the HTTP version is not supported: use HTTP/1.1"},
    {RequestError::kBareLineFeed, 400, "bare_line_feed", "a line ends with LF instead of CRLF"},
    {RequestError::kControlByte, 400, "control_byte",
     "the header section holds a control character or a CR that ends no line"},
    {RequestError::kFieldName, 400, "field_name",
     "a header line has no valid field name followed by a colon"},
    {RequestError::kFoldedField, 400, "folded_field", "a header line starts with white space"},
    {RequestError::kHeadTooLarge, 431, "head_too_large", "the header section is too large"},
    {RequestError::kTooManyFields, 431, "too_many_fields", "there are too many header fields"},
    {RequestError::kHostMissing, 400, "host_missing", "the Host field is missing"},
    {RequestError::kHostDuplicate, 400, "host_duplicate", "there is more than one Host field"},
    {RequestError::kHost, 400, "host", "Host is not a valid host with an optional port"},
    {RequestError::kAuthorizationDuplicate, 400, "authorization_duplicate",
     "there is more than one Authorization field"},
    {RequestError::kContentLength, 400, "content_length",
     "Content-Length is not one decimal number"},
    {RequestError::kTransferEncoding, 400, "transfer_encoding",
     "Transfer-Encoding is not a single chunked, or not allowed in HTTP/1.0"},
    {RequestError::kTransferCodingUnknown, 501, "transfer_coding_unknown",
     "Transfer-Encoding names a coding that is not implemented: use chunked"},
    {RequestError::kConflictingFraming, 400, "conflicting_framing",
     "Content-Length and Transfer-Encoding exclude each other"},
    {RequestError::kExpectation, 417, "expectation",
     "Expect holds something other than 100-continue"},
    {RequestError::kChunk, 400, "chunk", "a chunk of the body is malformed"},
    {RequestError::kChunkLineTooLarge, 400, "chunk_line_too_large",
     "the chunk extensions of the body are too large"},
    {RequestError::kTrailer, 400, "trailer", "a trailer field is malformed"},
    {RequestError::kTrailersTooLarge, 431, "trailers_too_large",
     "the trailer section is too large"},
    {RequestError::kOutOfMemory, 503, "out_of_memory", "there is no memory for it now"},
}};

constexpr bool isInOrder() {
  for (size_t i = 0; i < kEntries.size(); ++i) {
    if (static_cast<size_t>(kEntries[i].error) != i) return false;
  }
  return true;
}
static_assert(isInOrder());

// They stand in the JSON of a refusal as they are.
constexpr bool isPlain(std::string_view text) {
  return text.find_first_of("\"\\") == std::string_view::npos;
}
static_assert(std::ranges::all_of(kEntries,
                                  [](const Entry& entry) { return isPlain(entry.reason); }));

const Entry& entryOf(RequestError error) noexcept {
  return kEntries[static_cast<size_t>(error)];
}

}  // namespace

int statusOf(RequestError error) noexcept {
  return entryOf(error).status;
}

const char* reasonOf(RequestError error) noexcept {
  return entryOf(error).reason;
}

const char* nameOf(RequestError error) noexcept {
  return entryOf(error).name;
}

}  // namespace pointsman
