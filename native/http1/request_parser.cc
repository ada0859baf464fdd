// Reads heads in one pass and hands bodies on.
//
// Every verdict falls at the first byte that makes it certain, and lines are read from left to
// right, so it does not matter where an input ended. A head that lies whole in one input is read in
// place and copied once; otherwise it is collected in head_, and each call reads the line that was
// incomplete again. No byte beyond headBytesMax is looked at, so that a fault behind the limit
// cannot be reported in its stead.
#include "http1/request_parser.h"

#include <algorithm>

#include "http1/authority.h"
#include "http1/field.h"
#include "http1/request_target.h"

namespace pointsman {

namespace {

// Growth of the head's memory starts here; most heads fit.
constexpr size_t kHeadBufferBytesFirst = 1'024;
// A larger buffer is given back between messages: an idle connection keeps no more than this.
constexpr size_t kHeadBufferBytesKept = 4'096;

constexpr std::string_view kVersionStart = "HTTP/";
constexpr size_t kVersionBytes = 8;

constexpr bool isDigit(char c) noexcept {
  return c >= '0' && c <= '9';
}

void giveBack(ByteBuffer& buffer) noexcept {
  buffer.clear();
  if (buffer.capacity() > kHeadBufferBytesKept) buffer.release();
}

// False when there is no memory.
[[nodiscard]] bool appendHead(std::string_view bytes, ByteBuffer& head) noexcept {
  if (head.capacity() == 0) head.reserve(std::max(bytes.size(), kHeadBufferBytesFirst));
  return !head.append(bytes).failed();
}

RequestError requestErrorOf(ParseError error) noexcept {
  switch (error) {
    case ParseError::kChunkLineTooLarge:
      return RequestError::kChunkLineTooLarge;
    case ParseError::kTrailer:
      return RequestError::kTrailer;
    case ParseError::kTrailersTooLarge:
      return RequestError::kTrailersTooLarge;
    default:
      return RequestError::kChunk;
  }
}

// What is wrong with a field line that has this byte where its name, or the colon, should be.
RequestError fieldNameError(bool isFirst, char c) noexcept {
  if (isFirst && isBlank(c)) return RequestError::kFoldedField;
  return c == '\n' ? RequestError::kBareLineFeed : RequestError::kFieldName;
}

}  // namespace

void RequestParser::reset() noexcept {
  state_ = State::kHead;
  error_ = RequestError::kNone;
  hasStarted_ = false;
  isHeadComplete_ = false;
  hasLeadingCr_ = false;
  leadingEmptyLines_ = 0;
  lineStart_ = 0;
  message_ = {};
  giveBack(head_);
  giveBack(normalized_);
}

RequestParser::Step RequestParser::next(std::string_view input) noexcept {
  switch (state_) {
    case State::kHead:
      return readHead(input);
    case State::kBodyLength:
      return readLengthBody(input);
    case State::kBodyChunked:
      return readChunkedBody(input);
    case State::kEnding:
    case State::kDone:
      state_ = State::kDone;
      return {.kind = RequestStepKind::kEnd};
    case State::kFailed:
      break;
  }
  return fail(error_, 0);
}

RequestParser::Step RequestParser::fail(RequestError error, size_t consumed) noexcept {
  state_ = State::kFailed;
  error_ = error;
  // What was found in a head that is not complete must not be used.
  if (!isHeadComplete_) message_ = {};
  return {.kind = RequestStepKind::kError, .error = error, .consumed = consumed};
}

const char* RequestParser::refuse(RequestError error) noexcept {
  error_ = error;
  return nullptr;
}

// Answers how many bytes were skipped; error_ tells of a fault.
size_t RequestParser::skipEmptyLines(std::string_view input) noexcept {
  size_t at = 0;
  for (; at < input.size(); ++at) {
    const char c = input[at];
    if (hasLeadingCr_) {
      hasLeadingCr_ = false;
      if (c != '\n') {
        error_ = RequestError::kControlByte;
        return at;
      }
      ++leadingEmptyLines_;
    } else if (c == '\r') {
      if (leadingEmptyLines_ == kLeadingEmptyLinesMax) {
        error_ = RequestError::kEmptyLines;
        return at;
      }
      hasLeadingCr_ = true;
    } else {
      break;
    }
  }
  return at;
}

RequestParser::Step RequestParser::readHead(std::string_view input) noexcept {
  size_t skipped = 0;
  if (!hasStarted_) {
    skipped = skipEmptyLines(input);
    if (error_ != RequestError::kNone) return fail(error_, skipped);
    input.remove_prefix(skipped);
    if (input.empty()) return {.consumed = skipped};
    hasStarted_ = true;
  }
  const bool isInPlace = head_.empty();
  const size_t before = head_.size();
  const std::string_view piece = input.substr(0, limits_.headBytesMax - before);
  if (!isInPlace && !appendHead(piece, head_)) return fail(RequestError::kOutOfMemory, skipped);
  const char* head = isInPlace ? piece.data() : head_.data();
  const size_t size = before + piece.size();

  const char* at = readLines(head, head + size);
  const auto headBytes = static_cast<size_t>(at - head);
  if (error_ != RequestError::kNone) return fail(error_, skipped);
  if (isHeadComplete_) return finishHead({head, headBytes}, skipped + headBytes - before);
  if (size == limits_.headBytesMax) {
    return fail(
        message_.hasRequestLine ? RequestError::kHeadTooLarge : RequestError::kTargetTooLong,
        skipped);
  }
  lineStart_ = headBytes;
  if (isInPlace && !appendHead(piece, head_)) return fail(RequestError::kOutOfMemory, skipped);
  return {.consumed = skipped + input.size()};
}

RequestParser::Step RequestParser::finishHead(std::string_view head, size_t consumed) noexcept {
  RequestError error = judgeHead();
  if (error == RequestError::kNone && !keepHead(head)) error = RequestError::kOutOfMemory;
  if (error != RequestError::kNone) {
    isHeadComplete_ = false;
    return fail(error, consumed);
  }
  chooseBody();
  return {.kind = RequestStepKind::kHead, .consumed = consumed};
}

// False when there is no memory.
bool RequestParser::keepHead(std::string_view head) noexcept {
  if (!head_.empty()) {
    head_.truncate(head.size());
  } else if (!appendHead(head, head_)) {
    return false;
  }
  message_.fields.size =
      static_cast<uint32_t>(head_.size()) - message_.fields.at - uint32_t{sizeof("\r\n") - 1};
  return message_.isNormal || normalizeFields();
}

// Answers where the first line begins that is not complete, or the end of the head.
const char* RequestParser::readLines(const char* head, const char* end) noexcept {
  const char* line = head + lineStart_;
  while (!isHeadComplete_) {
    const char* behind =
        message_.hasRequestLine ? readField(head, line, end) : readRequestLine(line, end);
    if (behind == nullptr) break;
    line = behind;
  }
  return line;
}

// Answers the start of the next line, or nullptr: refused when error_ is set, else incomplete.
const char* RequestParser::readRequestLine(const char* head, const char* end) noexcept {
  const char* at = head;
  const char* methodEnd = head + std::min<ptrdiff_t>(end - head, kMethodBytesMax + 1);
  while (at != methodEnd && isTokenByte(*at)) ++at;
  const auto methodBytes = static_cast<uint32_t>(at - head);
  if (methodBytes > kMethodBytesMax) return refuse(RequestError::kMethodTooLong);
  if (at == end) return nullptr;
  if (methodBytes == 0 || *at != ' ') return refuse(RequestError::kMethod);

  const char* target = ++at;
  const char* targetEnd = end;
  if (static_cast<size_t>(end - at) > limits_.targetBytesMax) {
    targetEnd = at + limits_.targetBytesMax + 1;
  }
  while (at != targetEnd && isTargetByte(*at)) ++at;
  const auto targetBytes = static_cast<size_t>(at - target);
  if (targetBytes > limits_.targetBytesMax) return refuse(RequestError::kTargetTooLong);
  if (at == end) return nullptr;
  if (targetBytes == 0 || *at != ' ') return refuse(RequestError::kTarget);

  const char* next = readVersion(at + 1, end);
  if (next == nullptr) return nullptr;
  message_.method = {0, methodBytes};
  const RequestError error = noteTarget(head, {target, targetBytes});
  if (error != RequestError::kNone) return refuse(error);
  message_.hasRequestLine = true;
  message_.fields.at = static_cast<uint32_t>(next - head);
  return next;
}

// From behind the blank to behind the line's end.
const char* RequestParser::readVersion(const char* at, const char* end) noexcept {
  const auto left = static_cast<size_t>(end - at);
  const std::string_view start(at, std::min(left, kVersionStart.size()));
  if (start != kVersionStart.substr(0, start.size())) return refuse(RequestError::kVersion);
  if (left > 5 && !isDigit(at[5])) return refuse(RequestError::kVersion);
  if (left > 6 && at[6] != '.') return refuse(RequestError::kVersion);
  if (left > 7 && !isDigit(at[7])) return refuse(RequestError::kVersion);
  if (left < kVersionBytes) return nullptr;
  if (at[5] != '1') return refuse(RequestError::kVersionUnsupported);
  message_.isHttp10 = at[7] == '0';
  if (left > kVersionBytes && at[kVersionBytes] != '\r') {
    return refuse(at[kVersionBytes] == '\n' ? RequestError::kBareLineFeed : RequestError::kVersion);
  }
  if (left < kVersionBytes + 2) return nullptr;
  if (at[kVersionBytes + 1] != '\n') return refuse(RequestError::kControlByte);
  return at + kVersionBytes + 2;
}

RequestError RequestParser::noteTarget(const char* head, std::string_view target) noexcept {
  RequestTarget parts;
  const RequestError error = splitTarget({head, message_.method.size}, target, parts);
  if (error != RequestError::kNone) return error;
  const auto spanOf = [&](std::string_view part) -> Span {
    if (part.empty()) return {};
    return {static_cast<uint32_t>(part.data() - head), static_cast<uint32_t>(part.size())};
  };
  if (parts.isPathConstant) {
    message_.pathConstant = parts.path.front();
  } else {
    message_.path = spanOf(parts.path);
  }
  message_.query = spanOf(parts.query);
  message_.host = spanOf(parts.authority);
  message_.isAbsolute = !parts.authority.empty();
  return RequestError::kNone;
}

// Answers as readRequestLine does. HOT.
const char* RequestParser::readField(const char* head, const char* at, const char* end) noexcept {
  if (at == end) return nullptr;
  const char* line = at;
  if (*at == '\r') {
    if (end - at < 2) return nullptr;
    if (at[1] != '\n') return refuse(RequestError::kControlByte);
    isHeadComplete_ = true;
    return at + 2;
  }
  while (at != end && isTokenByte(*at)) ++at;
  if (at == end) return nullptr;
  if (*at != ':' || at == line) return refuse(fieldNameError(at == line, *at));
  const std::string_view name(line, static_cast<size_t>(at - line));

  const char* raw = ++at;
  at = findControlByte(at, end);
  while (at != end && *at == '\t') at = findControlByte(at + 1, end);
  if (at == end) return nullptr;
  if (*at != '\r') {
    return refuse(*at == '\n' ? RequestError::kBareLineFeed : RequestError::kControlByte);
  }
  if (end - at < 2) return nullptr;
  if (at[1] != '\n') return refuse(RequestError::kControlByte);

  const char* value = raw;
  const char* valueEnd = at;
  while (value != valueEnd && isBlank(*value)) ++value;
  while (value != valueEnd && isBlank(valueEnd[-1])) --valueEnd;
  const bool isNormal = *raw == ' ' && valueEnd == at && value == raw + 1;
  message_.isNormal = message_.isNormal && isNormal;
  if (++message_.fieldCount > limits_.fieldsMax) return refuse(RequestError::kTooManyFields);
  const RequestError error = noteField(name, {value, static_cast<size_t>(valueEnd - value)},
                                       static_cast<uint32_t>(value - head));
  return error == RequestError::kNone ? at + 2 : refuse(error);
}

RequestError RequestParser::noteField(std::string_view name, std::string_view value,
                                      uint32_t at) noexcept {
  const Span span{at, static_cast<uint32_t>(value.size())};
  switch (name.size()) {
    case 4:
      if (tokenEqualsLower(name, "host")) return noteHost(value, span);
      break;
    case 6:
      if (tokenEqualsLower(name, "expect")) noteExpect(value);
      break;
    case 10:
      if (tokenEqualsLower(name, "connection")) noteConnection(value);
      break;
    case 12:
      if (tokenEqualsLower(name, "x-request-id")) {
        message_.requestId = message_.hasRequestId ? Span{} : span;
        message_.hasRequestId = true;
      }
      break;
    case 13:
      if (tokenEqualsLower(name, "authorization")) {
        if (message_.hasAuthorization) return RequestError::kAuthorizationDuplicate;
        message_.hasAuthorization = true;
        message_.authorization = span;
      }
      break;
    case 14:
      if (tokenEqualsLower(name, "content-length")) return noteContentLength(value);
      break;
    case 17:
      if (tokenEqualsLower(name, "transfer-encoding")) return noteTransferEncoding(value);
      break;
    default:
      break;
  }
  return RequestError::kNone;
}

RequestError RequestParser::noteHost(std::string_view value, Span span) noexcept {
  if (message_.hasHost) return RequestError::kHostDuplicate;
  if (!isAuthority(value)) return RequestError::kHost;
  message_.hasHost = true;
  if (!message_.isAbsolute) message_.host = span;
  return RequestError::kNone;
}

RequestError RequestParser::noteContentLength(std::string_view value) noexcept {
  if (message_.hasContentLength || value.empty()) return RequestError::kContentLength;
  uint64_t length = 0;
  for (const char c : value) {
    if (!isDigit(c) || length > kBodyBytesMax / 10) return RequestError::kContentLength;
    length = length * 10 + static_cast<uint64_t>(c - '0');
    if (length > kBodyBytesMax) return RequestError::kContentLength;
  }
  message_.hasContentLength = true;
  message_.contentLength = static_cast<int64_t>(length);
  return RequestError::kNone;
}

// A list of codings that are only unknown is judged at the end of the head, where Content-Length
// beside it weighs more.
RequestError RequestParser::noteTransferEncoding(std::string_view value) noexcept {
  if (message_.isHttp10 || message_.isChunked || message_.isCodingUnknown || value.empty()) {
    return RequestError::kTransferEncoding;
  }
  while (!message_.isChunked) {
    const bool isLast = value.find(',') == std::string_view::npos;
    const std::string_view coding = takeListMember(value);
    if (!isToken(coding)) return RequestError::kTransferEncoding;
    message_.isChunked = equalsLower(coding, "chunked");
    if (!message_.isChunked) message_.isCodingUnknown = true;
    if (isLast) return RequestError::kNone;
  }
  return RequestError::kTransferEncoding;
}

void RequestParser::noteConnection(std::string_view value) noexcept {
  while (!value.empty()) {
    const std::string_view option = takeListMember(value);
    message_.hasClose = message_.hasClose || equalsLower(option, "close");
    message_.hasKeepAlive = message_.hasKeepAlive || equalsLower(option, "keep-alive");
  }
}

void RequestParser::noteExpect(std::string_view value) noexcept {
  if (equalsLower(value, "100-continue")) {
    message_.expectsContinue = true;
  } else {
    message_.isExpectationUnknown = true;
  }
}

// What only the whole head can tell. The graver fault first.
RequestError RequestParser::judgeHead() noexcept {
  const bool hasCoding = message_.isChunked || message_.isCodingUnknown;
  if (hasCoding && message_.hasContentLength) return RequestError::kConflictingFraming;
  if (!message_.hasHost && !message_.isHttp10) return RequestError::kHostMissing;
  if (message_.isCodingUnknown) return RequestError::kTransferCodingUnknown;
  if (message_.isExpectationUnknown && !message_.isHttp10) return RequestError::kExpectation;
  return RequestError::kNone;
}

void RequestParser::chooseBody() noexcept {
  if (message_.isChunked) {
    message_.contentLength = -1;
    chunks_.reset(limits_.headBytesMax, kRequestChunkExtensionsBytesMax);
    state_ = State::kBodyChunked;
  } else {
    bodyBytesLeft_ = static_cast<uint64_t>(message_.contentLength);
    state_ = bodyBytesLeft_ == 0 ? State::kEnding : State::kBodyLength;
  }
}

// False when there is no memory.
bool RequestParser::normalizeFields() noexcept {
  std::string_view rest = view(head_, message_.fields);
  normalized_.reserve(rest.size() + message_.fieldCount);
  while (!rest.empty()) {
    const std::string_view line = rest.substr(0, rest.find('\r'));
    const size_t colon = line.find(':');
    normalized_.append(line.substr(0, colon)).append(": ");
    normalized_.append(trimBlanks(line.substr(colon + 1))).append("\r\n");
    rest.remove_prefix(line.size() + 2);
  }
  return !normalized_.failed();
}

RequestParser::Step RequestParser::readLengthBody(std::string_view input) noexcept {
  if (input.empty()) return {};
  const auto size = static_cast<size_t>(std::min<uint64_t>(input.size(), bodyBytesLeft_));
  bodyBytesLeft_ -= size;
  if (bodyBytesLeft_ == 0) state_ = State::kEnding;
  return {.kind = RequestStepKind::kBodyData, .consumed = size, .body = input.substr(0, size)};
}

RequestParser::Step RequestParser::readChunkedBody(std::string_view input) noexcept {
  const ChunkedDecoder::Step step = chunks_.next(input);
  if (step.error != ParseError::kNone) return fail(requestErrorOf(step.error), step.consumed);
  if (!step.data.empty()) {
    return {.kind = RequestStepKind::kBodyData, .consumed = step.consumed, .body = step.data};
  }
  if (!step.isEnd) return {.consumed = step.consumed};
  state_ = State::kDone;
  return {.kind = RequestStepKind::kEnd, .consumed = step.consumed};
}

}  // namespace pointsman
