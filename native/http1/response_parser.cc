// Reads heads line by line and hands bodies on.
//
// A head that lies whole in one input is read in place. Otherwise its lines are collected in head_
// and the fields found so far are moved along. Every verdict depends on whole lines (the first
// seven bytes excepted) and on the head's size at a line's end, never on where an input ended: that
// is what makes all cuts equal.
#include "http1/response_parser.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "http1/keep_alive.h"

namespace pointsman {

namespace {

constexpr std::string_view kStatusLineStart = "HTTP/1.";
constexpr size_t kHeadBytesMaxLeast = 64;
// Growth starts here; most heads in pieces fit.
constexpr size_t kHeadBufferBytesFirst = 2'048;
// A larger buffer is given back between answers.
constexpr size_t kHeadBufferBytesKept = 16'384;

// Whether a head can go on with these bytes at that offset: garbage is refused before it has a
// line's end, which might never come.
bool continuesStatusLine(size_t offset, std::string_view bytes) noexcept {
  if (offset >= kStatusLineStart.size()) return true;
  const std::string_view expected = kStatusLineStart.substr(offset);
  const size_t size = std::min(bytes.size(), expected.size());
  return bytes.substr(0, size) == expected.substr(0, size);
}

constexpr bool isDigit(char c) noexcept {
  return c >= '0' && c <= '9';
}

std::string_view rebase(std::string_view view, const char* from, const char* to) noexcept {
  return {to + (view.data() - from), view.size()};
}

}  // namespace

ResponseParser::ResponseParser(size_t headBytesMax) noexcept
    : headBytesMax_(std::max(headBytesMax, kHeadBytesMaxLeast)) {}

void ResponseParser::reset(bool isHeadRequest) noexcept {
  state_ = State::kHead;
  isHeadRequest_ = isHeadRequest;
  isTainted_ = false;
  hasStarted_ = false;
  isReusable_ = false;
  error_ = ParseError::kNone;
  interimCount_ = 0;
  startHead();
  if (head_.capacity() > kHeadBufferBytesKept) head_.release();
}

void ResponseParser::startHead() noexcept {
  hasStatusLine_ = false;
  isHttp11_ = false;
  isHeadComplete_ = false;
  isChunked_ = false;
  hasClose_ = false;
  hasKeepAlive_ = false;
  framing_ = BodyFraming::kNone;
  status_ = 0;
  contentLength_.reset();
  keepAliveSeconds_.reset();
  reason_ = {};
  fields_.clear();
  head_.clear();
  lineStart_ = 0;
}

ResponseParser::Step ResponseParser::next(std::string_view input) noexcept {
  switch (state_) {
    case State::kHead:
      return readHead(input);
    case State::kBodyLength:
      return readLengthBody(input);
    case State::kBodyUntilEof:
      if (input.empty()) return {};
      return {.kind = StepKind::kBodyData, .consumed = input.size(), .body = input};
    case State::kBodyChunked:
      return readChunkedBody(input);
    case State::kEnding:
      return end(input);
    case State::kDone:
      if (input.empty()) return {.kind = StepKind::kEnd};
      return fail(ParseError::kBytesAfterEnd, 0);
    case State::kFailed:
      break;
  }
  return fail(error_, 0);
}

ResponseParser::Step ResponseParser::finish() noexcept {
  switch (state_) {
    case State::kHead:
      return fail(hasStarted_ ? ParseError::kEofInHead : ParseError::kEofBeforeStart, 0);
    case State::kBodyLength:
    case State::kBodyChunked:
      return fail(ParseError::kEofInBody, 0);
    case State::kBodyUntilEof:
    case State::kEnding:
    case State::kDone:
      state_ = State::kDone;
      isReusable_ = false;
      return {.kind = StepKind::kEnd};
    case State::kFailed:
      break;
  }
  return fail(error_, 0);
}

ResponseParser::Step ResponseParser::fail(ParseError error, size_t consumed) noexcept {
  state_ = State::kFailed;
  error_ = error;
  isReusable_ = false;
  return {.kind = StepKind::kError, .error = error, .consumed = consumed};
}

ResponseParser::Step ResponseParser::readHead(std::string_view input) noexcept {
  hasStarted_ = hasStarted_ || !input.empty();
  size_t headStart = 0;
  size_t position = 0;
  while (position < input.size()) {
    std::string_view piece = input.substr(position);
    const void* lineFeed = std::memchr(piece.data(), '\n', piece.size());
    const bool isLine = lineFeed != nullptr;
    if (isLine) {
      piece = piece.substr(
          0, static_cast<size_t>(static_cast<const char*>(lineFeed) - piece.data()) + 1);
    }
    const bool isBuffered = !head_.empty();
    const size_t headBytes = isBuffered ? head_.size() : position - headStart;
    if (!continuesStatusLine(headBytes, piece)) return fail(ParseError::kStatusLine, position);
    if (headBytes + piece.size() > headBytesMax_) return fail(ParseError::kHeadTooLarge, position);
    if (!isLine && !isBuffered) break;

    std::string_view line = piece;
    if (isBuffered) {
      if (!appendHead(piece)) return fail(ParseError::kOutOfMemory, position);
      line = head_;
      line.remove_prefix(lineStart_);
    }
    position += piece.size();
    if (!isLine) return {.consumed = position};
    lineStart_ = head_.size();

    ParseError error = readLine(line);
    if (error == ParseError::kNone && isHeadComplete_) {
      error = endHead();
      if (error == ParseError::kNone && state_ != State::kHead) {
        return {.kind = StepKind::kHead, .consumed = position};
      }
      headStart = position;
    }
    if (error != ParseError::kNone) return fail(error, position);
  }
  if (!keepHead(input.substr(headStart), position - headStart)) {
    return fail(ParseError::kOutOfMemory, position);
  }
  return {.consumed = input.size()};
}

// The input ended within a head that was read in place: it goes into the buffer, and so do the
// views. False when there is no memory.
bool ResponseParser::keepHead(std::string_view head, size_t lineStart) noexcept {
  if (!head_.empty() || head.empty()) return true;
  if (!appendHead(head)) return false;
  moveViews(head.data(), head_.data());
  lineStart_ = lineStart;
  return true;
}

bool ResponseParser::appendHead(std::string_view bytes) noexcept {
  const size_t needed = head_.size() + bytes.size();
  if (needed > head_.capacity()) {
    // The old buffer has to live until the views are moved, which append() alone would not grant.
    ByteBuffer larger;
    if (!larger.reserve(std::max({needed, head_.capacity() * 2, kHeadBufferBytesFirst}))) {
      return false;
    }
    larger.append(head_);
    if (!head_.empty()) moveViews(head_.data(), larger.data());
    head_.swap(larger);
  }
  head_.append(bytes);
  return true;
}

void ResponseParser::moveViews(const char* from, const char* to) noexcept {
  if (!hasStatusLine_) return;
  reason_ = rebase(reason_, from, to);
  for (HeaderField& field : fields_) {
    field.name = rebase(field.name, from, to);
    field.value = rebase(field.value, from, to);
  }
}

ParseError ResponseParser::readLine(std::string_view rawLine) noexcept {
  if (rawLine.size() < 2 || rawLine[rawLine.size() - 2] != '\r') return ParseError::kBareLineFeed;
  const std::string_view line = rawLine.substr(0, rawLine.size() - 2);
  if (!hasStatusLine_) return readStatusLine(line);
  if (!line.empty()) return readField(line);
  isHeadComplete_ = true;
  return ParseError::kNone;
}

ParseError ResponseParser::readStatusLine(std::string_view line) noexcept {
  // "HTTP/1.x sss", then a blank and the reason; a missing blank with a missing reason is common
  // enough.
  constexpr size_t kStatusEnd = 12;
  if (line.size() < kStatusEnd || (line[7] != '0' && line[7] != '1') || line[8] != ' ') {
    return ParseError::kStatusLine;
  }
  if (line[9] < '1' || line[9] > '5' || !isDigit(line[10]) || !isDigit(line[11])) {
    return ParseError::kStatusLine;
  }
  isHttp11_ = line[7] == '1';
  status_ = static_cast<uint32_t>((line[9] - '0') * 100 + (line[10] - '0') * 10 + (line[11] - '0'));
  reason_ = line.substr(kStatusEnd);
  if (!reason_.empty()) {
    if (reason_.front() != ' ') return ParseError::kStatusLine;
    reason_.remove_prefix(1);
    if (!isFieldValue(reason_)) return ParseError::kControlByte;
  }
  hasStatusLine_ = true;
  return ParseError::kNone;
}

ParseError ResponseParser::readField(std::string_view line) noexcept {
  if (isBlank(line.front())) return ParseError::kFoldedField;
  size_t nameBytes = 0;
  while (nameBytes < line.size() && isTokenByte(line[nameBytes])) ++nameBytes;
  if (nameBytes == 0 || nameBytes == line.size() || line[nameBytes] != ':') {
    return ParseError::kFieldName;
  }
  const HeaderField field{line.substr(0, nameBytes), trimBlanks(line.substr(nameBytes + 1))};
  if (!isFieldValue(field.value)) return ParseError::kControlByte;
  if (fields_.size() == kResponseFieldsMax) return ParseError::kTooManyFields;
  if (!fields_.add(field)) return ParseError::kOutOfMemory;
  return noteField(field);
}

ParseError ResponseParser::noteField(HeaderField field) noexcept {
  switch (field.name.size()) {
    case 10:
      if (equalsLower(field.name, "connection")) noteConnection(field.value);
      if (equalsLower(field.name, "keep-alive")) keepAliveSeconds_ = keepAliveTimeout(field.value);
      return ParseError::kNone;
    case 14:
      if (equalsLower(field.name, "content-length")) return noteContentLength(field.value);
      return ParseError::kNone;
    case 17:
      if (equalsLower(field.name, "transfer-encoding")) return noteTransferEncoding(field.value);
      return ParseError::kNone;
    default:
      return ParseError::kNone;
  }
}

ParseError ResponseParser::noteContentLength(std::string_view value) noexcept {
  if (isChunked_) return ParseError::kConflictingFraming;
  if (contentLength_ || value.empty()) return ParseError::kContentLength;
  uint64_t length = 0;
  for (const char c : value) {
    if (!isDigit(c) || length > kBodyBytesMax / 10) return ParseError::kContentLength;
    length = length * 10 + static_cast<uint64_t>(c - '0');
    if (length > kBodyBytesMax) return ParseError::kContentLength;
  }
  contentLength_ = length;
  return ParseError::kNone;
}

ParseError ResponseParser::noteTransferEncoding(std::string_view value) noexcept {
  if (contentLength_) return ParseError::kConflictingFraming;
  if (!isHttp11_ || isChunked_ || !equalsLower(value, "chunked")) {
    return ParseError::kTransferEncoding;
  }
  isChunked_ = true;
  return ParseError::kNone;
}

void ResponseParser::noteConnection(std::string_view value) noexcept {
  while (!value.empty()) {
    const std::string_view option = takeListMember(value);
    hasClose_ = hasClose_ || equalsLower(option, "close");
    hasKeepAlive_ = hasKeepAlive_ || equalsLower(option, "keep-alive");
  }
}

ParseError ResponseParser::endHead() noexcept {
  const bool isInterim = status_ < 200;
  // Where no body may be, fields that announce one say that the replica and we disagree on what
  // comes next.
  const bool announcesBody = isChunked_ || contentLength_.value_or(0) > 0;
  isTainted_ = isTainted_ || hasClose_ || ((isInterim || status_ == 204) && announcesBody);
  if (!isInterim) {
    chooseFraming();
    return ParseError::kNone;
  }
  if (status_ == 101) return ParseError::kUnexpectedUpgrade;
  if (++interimCount_ > kInterimResponsesMax) return ParseError::kTooManyInterim;
  startHead();
  return ParseError::kNone;
}

void ResponseParser::chooseFraming() noexcept {
  if (isHeadRequest_ || status_ == 204 || status_ == 304) {
    framing_ = BodyFraming::kNone;
    state_ = State::kEnding;
    // Allowed here, but servers err: some send the chunks, or the last one alone, and late enough
    // to be taken for the answer to the next request.
    isTainted_ = isTainted_ || isChunked_;
  } else if (isChunked_) {
    framing_ = BodyFraming::kChunked;
    state_ = State::kBodyChunked;
    chunks_.reset(headBytesMax_);
  } else if (contentLength_) {
    framing_ = BodyFraming::kLength;
    bodyBytesLeft_ = *contentLength_;
    state_ = bodyBytesLeft_ == 0 ? State::kEnding : State::kBodyLength;
  } else {
    framing_ = BodyFraming::kUntilEof;
    state_ = State::kBodyUntilEof;
  }
  isTainted_ = isTainted_ || !(isHttp11_ || hasKeepAlive_);
}

ResponseParser::Step ResponseParser::readLengthBody(std::string_view input) noexcept {
  if (input.empty()) return {};
  const auto size = static_cast<size_t>(std::min<uint64_t>(input.size(), bodyBytesLeft_));
  bodyBytesLeft_ -= size;
  if (bodyBytesLeft_ == 0) state_ = State::kEnding;
  return {.kind = StepKind::kBodyData, .consumed = size, .body = input.substr(0, size)};
}

ResponseParser::Step ResponseParser::readChunkedBody(std::string_view input) noexcept {
  const ChunkedDecoder::Step step = chunks_.next(input);
  if (step.error != ParseError::kNone) return fail(step.error, step.consumed);
  if (!step.data.empty()) {
    return {.kind = StepKind::kBodyData, .consumed = step.consumed, .body = step.data};
  }
  if (!step.isEnd) return {.consumed = step.consumed};
  Step last = end(input.substr(step.consumed));
  last.consumed = step.consumed;
  return last;
}

ResponseParser::Step ResponseParser::end(std::string_view input) noexcept {
  state_ = State::kDone;
  isReusable_ = !isTainted_ && input.empty();
  return {.kind = StepKind::kEnd};
}

}  // namespace pointsman
