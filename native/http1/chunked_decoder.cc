// The state machine drawn in the header, one function per group of states.
#include "http1/chunked_decoder.h"

#include <algorithm>

#include "http1/field.h"

namespace pointsman {

namespace {

// 0 to 15, or -1.
constexpr int hexValue(char c) noexcept {
  if (c >= '0' && c <= '9') return c - '0';
  const char lower = toLower(c);
  return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

}  // namespace

void ChunkedDecoder::reset(size_t trailerBytesMax, uint64_t extensionsBytesMax) noexcept {
  state_ = State::kSizeFirst;
  chunkBytesLeft_ = 0;
  lineBytes_ = 0;
  extensionsBytesLeft_ = extensionsBytesMax;
  trailerBytesLeft_ = trailerBytesMax;
}

ChunkedDecoder::Step ChunkedDecoder::next(std::string_view input) noexcept {
  Step step;
  while (step.consumed < input.size()) {
    if (state_ == State::kData) {
      const size_t left = input.size() - step.consumed;
      const auto size = static_cast<size_t>(std::min<uint64_t>(left, chunkBytesLeft_));
      step.data = input.substr(step.consumed, size);
      step.consumed += size;
      chunkBytesLeft_ -= size;
      if (chunkBytesLeft_ == 0) state_ = State::kDataCr;
      return step;
    }
    step.error = readByte(input[step.consumed]);
    ++step.consumed;
    step.isEnd = state_ == State::kEnd;
    if (step.isEnd || step.error != ParseError::kNone) return step;
  }
  return step;
}

ParseError ChunkedDecoder::readByte(char c) noexcept {
  switch (state_) {
    case State::kSizeFirst:
    case State::kSizeLf:
      return readSizeByte(c);
    case State::kSize:
    case State::kBlanks:
    case State::kExtensionStart:
    case State::kExtensionName:
    case State::kExtensionNameEnd:
    case State::kExtensionEquals:
    case State::kExtensionValue:
    case State::kExtensionQuoted:
    case State::kExtensionEscape:
    case State::kExtensionEnd:
      return readSizeLineByte(c);
    case State::kTrailerFirst:
    case State::kTrailerName:
    case State::kTrailerValue:
    case State::kTrailerLf:
    case State::kEndLf:
      if (trailerBytesLeft_ == 0) return ParseError::kTrailersTooLarge;
      --trailerBytesLeft_;
      return readTrailerByte(c);
    case State::kDataCr:
      state_ = State::kDataLf;
      return c == '\r' ? ParseError::kNone : ParseError::kChunk;
    case State::kDataLf:
      state_ = State::kSizeFirst;
      return c == '\n' ? ParseError::kNone : ParseError::kChunk;
    case State::kData:
    case State::kEnd:
      break;
  }
  return ParseError::kChunk;
}

ParseError ChunkedDecoder::readSizeByte(char c) noexcept {
  if (state_ == State::kSizeLf) {
    if (c != '\n') return ParseError::kChunk;
    state_ = chunkBytesLeft_ == 0 ? State::kTrailerFirst : State::kData;
    return ParseError::kNone;
  }
  const int digit = hexValue(c);
  if (digit < 0) return ParseError::kChunk;
  chunkBytesLeft_ = static_cast<uint64_t>(digit);
  lineBytes_ = 0;
  state_ = State::kSize;
  return ParseError::kNone;
}

ParseError ChunkedDecoder::readSizeLineByte(char c) noexcept {
  if (++lineBytes_ > kChunkLineBytesMax) return ParseError::kChunkLineTooLarge;
  if (lineBytes_ > kChunkLineBytesFree) {
    if (extensionsBytesLeft_ == 0) return ParseError::kChunkLineTooLarge;
    --extensionsBytesLeft_;
  }
  const int digit = state_ == State::kSize ? hexValue(c) : -1;
  if (digit >= 0) {
    if (chunkBytesLeft_ > kBodyBytesMax / 16) return ParseError::kChunk;
    chunkBytesLeft_ = chunkBytesLeft_ * 16 + static_cast<uint64_t>(digit);
    return chunkBytesLeft_ <= kBodyBytesMax ? ParseError::kNone : ParseError::kChunk;
  }
  const bool mayEndLine = state_ == State::kSize || state_ == State::kExtensionName ||
                          state_ == State::kExtensionValue || state_ == State::kExtensionEnd;
  if (c == '\r' && mayEndLine) {
    state_ = State::kSizeLf;
    return ParseError::kNone;
  }
  return readExtensionByte(c);
}

// Blanks may stand around ';' and '=' but not alone at the end of the line, and a ';' without a
// name is no extension (RFC 9112, 7.1.1): what others make of these was the way into their parsers.
ParseError ChunkedDecoder::readExtensionByte(char c) noexcept {
  switch (state_) {
    case State::kExtensionStart:
      if (isBlank(c)) return ParseError::kNone;
      state_ = State::kExtensionName;
      return isTokenByte(c) ? ParseError::kNone : ParseError::kChunk;
    case State::kExtensionEquals:
      if (isBlank(c)) return ParseError::kNone;
      state_ = c == '"' ? State::kExtensionQuoted : State::kExtensionValue;
      return c == '"' || isTokenByte(c) ? ParseError::kNone : ParseError::kChunk;
    case State::kExtensionQuoted:
      if (c == '"') state_ = State::kExtensionEnd;
      if (c == '\\') state_ = State::kExtensionEscape;
      return isTextByte(c) ? ParseError::kNone : ParseError::kChunk;
    case State::kExtensionEscape:
      state_ = State::kExtensionQuoted;
      return isTextByte(c) ? ParseError::kNone : ParseError::kChunk;
    case State::kExtensionName:
    case State::kExtensionValue:
      if (isTokenByte(c)) return ParseError::kNone;
      break;
    default:
      break;
  }
  // Behind a size, a name or a value, or in the blanks there.
  const bool isName = state_ == State::kExtensionName || state_ == State::kExtensionNameEnd;
  if (c == ';') {
    state_ = State::kExtensionStart;
  } else if (c == '=' && isName) {
    state_ = State::kExtensionEquals;
  } else if (isBlank(c)) {
    state_ = isName ? State::kExtensionNameEnd : State::kBlanks;
  } else {
    return ParseError::kChunk;
  }
  return ParseError::kNone;
}

ParseError ChunkedDecoder::readTrailerByte(char c) noexcept {
  switch (state_) {
    case State::kTrailerFirst:
      if (c == '\r') {
        state_ = State::kEndLf;
        return ParseError::kNone;
      }
      state_ = State::kTrailerName;
      return isTokenByte(c) ? ParseError::kNone : ParseError::kTrailer;
    case State::kTrailerName:
      if (c == ':') {
        state_ = State::kTrailerValue;
        return ParseError::kNone;
      }
      return isTokenByte(c) ? ParseError::kNone : ParseError::kTrailer;
    case State::kTrailerValue:
      if (c == '\r') {
        state_ = State::kTrailerLf;
        return ParseError::kNone;
      }
      return isTextByte(c) ? ParseError::kNone : ParseError::kTrailer;
    case State::kTrailerLf:
      state_ = State::kTrailerFirst;
      return c == '\n' ? ParseError::kNone : ParseError::kTrailer;
    default:
      state_ = State::kEnd;
      return c == '\n' ? ParseError::kNone : ParseError::kTrailer;
  }
}

}  // namespace pointsman
