// Incremental parser of the requests on a client's connection, one message at a time.
//
// What it lets pass can be read in one way only; everything else is an error with a status, after
// which the connection must be closed (RFC 9112, 6.3 and 11.2). Any cut of the same bytes gives the
// same events. The parser owns a copy of the head (at most headBytesMax; bodies are never copied),
// for which there may be no memory: that is an error too, with 503. It belongs to one connection
// and one thread, knows no socket, and does not throw.
//
//   parser.reset();                                    // before each message
//   on bytes (`input` is what was read):
//     for (;;) {
//       const RequestParser::Step step = parser.next(input);
//       input.remove_prefix(step.consumed);
//       switch (step.kind) {
//         case RequestStepKind::kNeedMore: return;                       // input is used up
//         case RequestStepKind::kHead:     start(parser.path(), ...); break;
//         case RequestStepKind::kBodyData: send(step.body); break;       // view into `input`
//         case RequestStepKind::kEnd:      finish(); return;  // `input` is the next message's
//         case RequestStepKind::kError:    refuse(statusOf(step.error)); return;
//       }
//     }
//
// After kHead go on calling next(), also with empty input: a request without body ends at once.
// Order of events: kHead (kBodyData)* kEnd, broken off anywhere by kError.
//
// Decisions where RFC 9110 and 9112 leave one:
//   - HTTP/1.2 to 1.9 are read as HTTP/1.1 (RFC 9110, 2.5); other major versions are 505.
//   - HTTP/1.0 may come without Host; host() is empty then. Its Connection: keep-alive is believed.
//   - Up to kLeadingEmptyLinesMax empty lines before a request line are skipped.
//   - Chunked bodies come decoded; chunk extensions and trailers are checked, bounded and dropped.
//   - The caller bounds the size of bodies, chooses the methods, and drops fields with underscores.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "core/byte_buffer.h"
#include "http1/chunked_decoder.h"
#include "http1/request_error.h"

namespace pointsman {

// RFC 9112, 3 asks for request lines of 8,000 bytes at least.
inline constexpr size_t kRequestTargetBytesMax = 8'192;
inline constexpr size_t kRequestHeadBytesMax = 16'384;
inline constexpr uint32_t kRequestFieldsMax = 200;
inline constexpr size_t kMethodBytesMax = 32;
inline constexpr uint32_t kLeadingEmptyLinesMax = 8;
// Chunk extensions of a whole body.
inline constexpr uint64_t kRequestChunkExtensionsBytesMax = 65'536;

struct RequestLimits {
  // From the first byte of the request line to the empty line; trailers too. At most 2^31.
  size_t headBytesMax = kRequestHeadBytesMax;
  size_t targetBytesMax = kRequestTargetBytesMax;
  uint32_t fieldsMax = kRequestFieldsMax;
};

enum class RequestStepKind : uint8_t { kNeedMore, kHead, kBodyData, kEnd, kError };

class RequestParser {
 public:
  struct Step {
    RequestStepKind kind = RequestStepKind::kNeedMore;
    // kNone unless kind is kError.
    RequestError error = RequestError::kNone;
    // Bytes of the input that are done with. All of them with kNeedMore; with kEnd what is left
    // belongs to the next message.
    size_t consumed = 0;
    // The decoded bytes of a kBodyData step, never empty there: a view into the input of this call.
    std::string_view body = {};
  };

  explicit RequestParser(RequestLimits limits = {}) noexcept : limits_(limits) {}

  // Starts the next message of the connection. Keeps the memory of earlier ones up to a bound, so
  // that a warm connection does not allocate.
  void reset() noexcept;

  // Reads on. Answers kError for ever after an error, and kEnd, with nothing consumed, after the
  // end. An incomplete line of the head is read again from its start by the next call.
  Step next(std::string_view input) noexcept;

  // A byte of the message has come; the empty lines before it do not count.
  bool hasStarted() const noexcept { return hasStarted_; }
  // kHead was answered; the head's accessors are valid from here on.
  bool headComplete() const noexcept { return isHeadComplete_; }

  // The head: valid from kHead to the next reset(), also after an error in the body. Views into
  // memory of the parser.
  std::string_view method() const noexcept { return view(head_, message_.method); }
  // As received, without the query; "/" for an absolute URI without path, "*" for OPTIONS only.
  std::string_view path() const noexcept {
    return message_.pathConstant != 0 ? std::string_view(&message_.pathConstant, 1)
                                      : view(head_, message_.path);
  }
  // As received, without '?'.
  std::string_view query() const noexcept { return view(head_, message_.query); }
  // The authority of an absolute URI, else the value of Host. Valid by isAuthority(), or empty with
  // HTTP/1.0. fields() still holds Host as it was received: write host() instead.
  std::string_view host() const noexcept { return view(head_, message_.host); }
  // The whole value; empty when there is none.
  std::string_view authorization() const noexcept { return view(head_, message_.authorization); }
  // The value of x-request-id; empty when there is none or more than one.
  std::string_view requestId() const noexcept { return view(head_, message_.requestId); }
  // All fields in their order as "name: value\r\n" each, without the empty line: names as received,
  // values without white space around them.
  std::string_view fields() const noexcept {
    return message_.isNormal ? view(head_, message_.fields) : std::string_view{normalized_};
  }
  // -1 for a chunked body, 0 for none; at most kBodyBytesMax.
  int64_t contentLength() const noexcept { return message_.contentLength; }
  bool isHttp10() const noexcept { return message_.isHttp10; }
  // The connection may serve another request after this one: by version and Connection fields.
  bool keepAlive() const noexcept {
    return !message_.hasClose && (!message_.isHttp10 || message_.hasKeepAlive);
  }
  // The client waits for 100 before it sends its body. False without a body and for HTTP/1.0.
  bool expectsContinue() const noexcept {
    return message_.expectsContinue && !message_.isHttp10 && message_.contentLength != 0;
  }

 private:
  enum class State : uint8_t { kHead, kBodyLength, kBodyChunked, kEnding, kDone, kFailed };

  // A part of the head, by offset: the head moves into head_ when it is complete.
  struct Span {
    uint32_t at = 0;
    uint32_t size = 0;
  };

  // What is known of the message so far; everything that reset() clears at once.
  struct Message {
    Span method;
    Span path;
    Span query;
    Span host;
    Span authorization;
    Span requestId;
    Span fields;
    int64_t contentLength = 0;
    uint32_t fieldCount = 0;
    // '/' or '*' where the path is no part of the head.
    char pathConstant = 0;
    bool hasRequestLine = false;
    bool isHttp10 = false;
    // Every field line already is "name: value\r\n".
    bool isNormal = true;
    bool isAbsolute = false;
    bool hasHost = false;
    bool hasAuthorization = false;
    bool hasRequestId = false;
    bool hasContentLength = false;
    bool isChunked = false;
    bool isCodingUnknown = false;
    bool isExpectationUnknown = false;
    bool expectsContinue = false;
    bool hasClose = false;
    bool hasKeepAlive = false;
  };

  static std::string_view view(const ByteBuffer& text, Span span) noexcept {
    return {text.data() + span.at, span.size};
  }

  Step fail(RequestError error, size_t consumed) noexcept;
  size_t skipEmptyLines(std::string_view input) noexcept;
  Step readHead(std::string_view input) noexcept;
  Step finishHead(std::string_view head, size_t consumed) noexcept;
  bool keepHead(std::string_view head) noexcept;
  const char* readLines(const char* head, const char* end) noexcept;
  const char* readRequestLine(const char* head, const char* end) noexcept;
  const char* readVersion(const char* at, const char* end) noexcept;
  const char* readField(const char* head, const char* at, const char* end) noexcept;
  const char* refuse(RequestError error) noexcept;
  RequestError noteTarget(const char* head, std::string_view target) noexcept;
  RequestError noteField(std::string_view name, std::string_view value, uint32_t at) noexcept;
  RequestError noteHost(std::string_view value, Span span) noexcept;
  RequestError noteContentLength(std::string_view value) noexcept;
  RequestError noteTransferEncoding(std::string_view value) noexcept;
  void noteConnection(std::string_view value) noexcept;
  void noteExpect(std::string_view value) noexcept;
  RequestError judgeHead() noexcept;
  void chooseBody() noexcept;
  bool normalizeFields() noexcept;
  Step readLengthBody(std::string_view input) noexcept;
  Step readChunkedBody(std::string_view input) noexcept;

  RequestLimits limits_;
  State state_ = State::kHead;
  RequestError error_ = RequestError::kNone;
  bool hasStarted_ = false;
  bool isHeadComplete_ = false;
  // Of the empty lines before the message.
  bool hasLeadingCr_ = false;
  uint32_t leadingEmptyLines_ = 0;
  // Where the line that is being read begins in the head.
  size_t lineStart_ = 0;
  Message message_;
  // The head so far when it came in pieces, and the whole of it once it is complete.
  ByteBuffer head_;
  // The fields, where they had to be written anew.
  ByteBuffer normalized_;

  uint64_t bodyBytesLeft_ = 0;
  ChunkedDecoder chunks_;
};

}  // namespace pointsman
