// Incremental parser of one HTTP/1.1 answer from a replica.
//
// Any cut of the same bytes gives the same events. The parser owns small state and a buffer for
// heads that arrive in pieces (at most headBytesMax); bodies are never copied. It belongs to one
// connection and one thread, knows no socket, and does not throw. What it cannot read without doubt
// is an error: the connection must then be closed and nothing more of the answer be used (RFC
// 9112, 6.3; two readings of one message are how answers get mixed up). Another is that there is no
// memory for the head.
//
// How an exchange drives it:
//
//   parser.reset(method == "HEAD");
//
//   on bytes (`input` is what was read):
//     for (;;) {
//       const ResponseParser::Step step = parser.next(input);
//       input.remove_prefix(step.consumed);
//       switch (step.kind) {
//         case StepKind::kNeedMore: return;            // input is used up; read on
//         case StepKind::kHead:     writeHead(parser.status(), parser.fields(), ...); break;
//         case StepKind::kBodyData: writeBody(step.body); break;     // view into `input`
//         case StepKind::kEnd:      finish(parser.isReusable()); return;
//         case StepKind::kError:    fail(step.error); return;        // close the connection
//       }
//     }
//   on end of stream:  const Step step = parser.finish();            // kEnd or kError
//
// After kHead go on calling next(), also with empty input: an answer without body ends at once.
// Interim answers (1xx) are skipped inside. Order of events: kHead (kBodyData)* kEnd, broken off
// anywhere by kError.
//
//   state          leaves it
//   kHead          at the empty line; interim answers return here
//   kBodyLength    after Content-Length bytes
//   kBodyUntilEof  at the end of the stream
//   kBodyChunked   at the last chunk's end; ChunkedDecoder has the states within
//   kEnding        at once: the body is complete, kEnd is still to be answered
//   kDone, kFailed at reset()
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

#include "core/byte_buffer.h"
#include "core/growing_array.h"
#include "http1/chunked_decoder.h"
#include "http1/field.h"
#include "http1/parse_error.h"

namespace pointsman {

inline constexpr size_t kResponseHeadBytesMax = 65'536;
inline constexpr size_t kResponseFieldsMax = 256;
inline constexpr uint32_t kInterimResponsesMax = 16;

enum class StepKind : uint8_t { kNeedMore, kHead, kBodyData, kEnd, kError };

// How the end of the body is found; kNone also for the answers that have no body whatever their
// fields say.
enum class BodyFraming : uint8_t { kNone, kLength, kChunked, kUntilEof };

class ResponseParser {
 public:
  struct Step {
    StepKind kind = StepKind::kNeedMore;
    // kNone unless kind is kError.
    ParseError error = ParseError::kNone;
    // Bytes of the input that are done with. All of them with kNeedMore; with kEnd what is left
    // does not belong to the answer.
    size_t consumed = 0;
    // The decoded bytes of a kBodyData step, never empty there: a view into the input of this call.
    std::string_view body = {};
  };

  // `headBytesMax` bounds each head, from the first byte of the status line to the empty line; at
  // least 64.
  explicit ResponseParser(size_t headBytesMax = kResponseHeadBytesMax) noexcept;

  // Starts the answer to another request; `isHeadRequest` because its answer has no body. Keeps the
  // memory of earlier answers up to a bound, so that a warm connection does not allocate.
  void reset(bool isHeadRequest) noexcept;

  // Reads on. Answers kError for ever after an error, and kError (kBytesAfterEnd) for bytes given
  // after kEnd.
  Step next(std::string_view input) noexcept;

  // The replica ended its side of the connection. kEnd closes a body that is delimited by that, and
  // stays kEnd after the end; anywhere else the answer is cut short and the error says where:
  // before its first byte, in a head (an interim one before counts), or in the body.
  Step finish() noexcept;

  // The head. Valid from kHead to the next reset(); fields() and reason() are views into the last
  // input or the parser's buffer and die with the next call of next(), finish() or reset().
  uint32_t status() const noexcept { return status_; }
  bool isHttp11() const noexcept { return isHttp11_; }
  std::string_view reason() const noexcept { return reason_; }
  std::span<const HeaderField> fields() const noexcept { return fields_; }
  BodyFraming framing() const noexcept { return framing_; }
  // What Content-Length said, also where it frames no body (an answer to HEAD, a 304).
  std::optional<uint64_t> contentLength() const noexcept { return contentLength_; }

  // Seconds of idleness after which the replica says that it closes the connection (`Keep-Alive:
  // timeout=N`); nothing when it does not say.
  std::optional<uint32_t> keepAliveSeconds() const noexcept { return keepAliveSeconds_; }

  // Any byte of an answer has come, so the request may have been executed: no retry on its account.
  bool hasStarted() const noexcept { return hasStarted_; }

  // After kEnd: another request may be sent over the connection. False when the version or a
  // Connection field says so, when the end of the stream ended the body, when the fields contradict
  // the absence of a body or announce chunks to an answer without one, and when the input held
  // bytes behind the end. Bytes that come later are the pool's to see.
  bool isReusable() const noexcept { return isReusable_; }

 private:
  enum class State : uint8_t {
    kHead,
    kBodyLength,
    kBodyUntilEof,
    kBodyChunked,
    kEnding,
    kDone,
    kFailed
  };

  Step fail(ParseError error, size_t consumed) noexcept;
  void startHead() noexcept;
  Step readHead(std::string_view input) noexcept;
  ParseError readLine(std::string_view rawLine) noexcept;
  ParseError readStatusLine(std::string_view line) noexcept;
  ParseError readField(std::string_view line) noexcept;
  ParseError noteField(HeaderField field) noexcept;
  ParseError noteContentLength(std::string_view value) noexcept;
  ParseError noteTransferEncoding(std::string_view value) noexcept;
  void noteConnection(std::string_view value) noexcept;
  ParseError endHead() noexcept;
  void chooseFraming() noexcept;
  bool keepHead(std::string_view head, size_t lineStart) noexcept;
  bool appendHead(std::string_view bytes) noexcept;
  void moveViews(const char* from, const char* to) noexcept;
  Step readLengthBody(std::string_view input) noexcept;
  Step readChunkedBody(std::string_view input) noexcept;
  Step end(std::string_view input) noexcept;

  size_t headBytesMax_;
  State state_ = State::kHead;
  bool isHeadRequest_ = false;
  // Something in an interim answer or the head speaks against another request on the connection.
  bool isTainted_ = false;
  bool hasStarted_ = false;
  bool isReusable_ = false;
  ParseError error_ = ParseError::kNone;

  // Of the head that is being read.
  bool hasStatusLine_ = false;
  bool isHttp11_ = false;
  bool isHeadComplete_ = false;
  bool isChunked_ = false;
  bool hasClose_ = false;
  bool hasKeepAlive_ = false;
  BodyFraming framing_ = BodyFraming::kNone;
  uint32_t status_ = 0;
  uint32_t interimCount_ = 0;
  std::optional<uint64_t> contentLength_;
  std::optional<uint32_t> keepAliveSeconds_;
  std::string_view reason_;
  GrowingArray<HeaderField> fields_;
  // The head so far, when it did not come in one piece; empty otherwise.
  ByteBuffer head_;
  // Where the line that is being collected begins in head_.
  size_t lineStart_ = 0;

  uint64_t bodyBytesLeft_ = 0;
  ChunkedDecoder chunks_;
};

}  // namespace pointsman
