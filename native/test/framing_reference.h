// Where a request ends and what its body is, decided by a second reader that shares no line with
// the parser: slow, over the whole bytes, after the letter of RFC 9112.
//
// It judges framing only. What it calls refused the parser must not accept, and where both accept
// they must agree to the byte.
#pragma once

#include <cctype>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace pointsman::test {

enum class FramingVerdict : uint8_t { kIncomplete, kRefused, kComplete };

struct ReferenceFraming {
  FramingVerdict verdict = FramingVerdict::kIncomplete;
  // Bytes of the message, with empty lines before it.
  size_t bytes = 0;
  std::string body;
};

inline std::string lowerCase(std::string_view text) {
  std::string lower;
  for (const char c : text) {
    lower += static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  }
  return lower;
}

inline std::string trimmed(std::string_view text, std::string_view white = " \t") {
  const size_t first = text.find_first_not_of(white);
  if (first == std::string_view::npos) return {};
  return std::string(text.substr(first, text.find_last_not_of(white) - first + 1));
}

// The lines of a section that ends in CRLF; empty when a CR or LF stands alone or a control byte
// stands anywhere.
inline std::vector<std::string> linesOf(std::string_view section) {
  std::vector<std::string> lines(1);
  for (size_t i = 0; i < section.size(); ++i) {
    const auto c = static_cast<unsigned char>(section[i]);
    if (c == '\r' && i + 1 < section.size() && section[i + 1] == '\n') {
      lines.emplace_back();
      ++i;
    } else if ((c < 0x20 && c != '\t') || c == 0x7f) {
      return {};
    } else {
      lines.back() += section[i];
    }
  }
  lines.pop_back();
  return lines;
}

// The lower-case name of a field line; empty when it has none.
inline std::string nameOfLine(const std::string& text) {
  static constexpr std::string_view kSymbols = "!#$%&'*+-.^_`|~";
  const size_t colon = text.find(':');
  if (colon == std::string::npos) return {};
  for (const char c : text.substr(0, colon)) {
    const auto byte = static_cast<unsigned char>(c);
    const bool isAlphanumeric = byte < 0x80 && std::isalnum(byte) != 0;
    if (!isAlphanumeric && kSymbols.find(c) == std::string_view::npos) return {};
  }
  return lowerCase(text.substr(0, colon));
}

// How many lines of a head a careless reader would take for the field: one that ends lines at any
// CR or LF, trims names and folds their case.
inline size_t countCarelessly(std::string_view head, std::string_view name) {
  size_t count = 0;
  std::string text;
  for (const char c : std::string(head) + "\n") {
    if (c != '\r' && c != '\n') {
      text += c;
      continue;
    }
    const std::string field = trimmed(text.substr(0, text.find(':')), " \t\v\f");
    if (text.find(':') != std::string::npos && lowerCase(field) == name) ++count;
    text.clear();
  }
  return count;
}

inline ReferenceFraming judgeChunks(std::string_view bytes, size_t at) {
  ReferenceFraming framing;
  for (;;) {
    const size_t lineEnd = bytes.find("\r\n", at);
    if (lineEnd == std::string_view::npos) return framing;
    const std::string line(bytes.substr(at, lineEnd - at));
    const size_t digits = line.find_first_not_of("0123456789abcdefABCDEF");
    const std::string behind = digits == std::string::npos ? "" : trimmed(line.substr(digits));
    framing.verdict = FramingVerdict::kRefused;
    if (digits == 0 || line.empty() || (digits != std::string::npos && behind[0] != ';')) {
      return framing;
    }
    if (linesOf(line + "\r\n").size() != 1) return framing;
    const std::string number = line.substr(0, digits);
    const size_t firstDigit = number.find_first_not_of('0');
    if (firstDigit != std::string::npos && number.size() - firstDigit > 16) return framing;
    const uint64_t size = std::stoull(number, nullptr, 16);
    at = lineEnd + 2;
    if (size == 0) break;
    if (size > bytes.size() || bytes.size() - at < size + 2) {
      framing.verdict = FramingVerdict::kIncomplete;
      return framing;
    }
    framing.body += bytes.substr(at, size);
    at += size;
    if (bytes.substr(at, 2) != "\r\n") return framing;
    at += 2;
  }
  for (;;) {
    const size_t lineEnd = bytes.find("\r\n", at);
    framing.verdict = FramingVerdict::kIncomplete;
    if (lineEnd == std::string_view::npos) return framing;
    const std::string line(bytes.substr(at, lineEnd - at));
    at = lineEnd + 2;
    if (line.empty()) break;
    framing.verdict = FramingVerdict::kRefused;
    if (linesOf(line + "\r\n").size() != 1 || nameOfLine(line).empty()) return framing;
  }
  framing.verdict = FramingVerdict::kComplete;
  framing.bytes = at;
  return framing;
}

inline ReferenceFraming judgeFraming(std::string_view bytes) {
  size_t start = 0;
  while (bytes.substr(start, 2) == "\r\n") start += 2;
  const size_t headEnd = bytes.find("\r\n\r\n", start);
  ReferenceFraming framing;
  if (headEnd == std::string_view::npos) return framing;
  framing.verdict = FramingVerdict::kRefused;

  const std::string_view head = bytes.substr(start, headEnd + 2 - start);
  const std::vector<std::string> lines = linesOf(head);
  if (lines.empty()) return framing;
  std::vector<std::string> lengths;
  std::vector<std::string> codings;
  for (size_t i = 1; i < lines.size(); ++i) {
    const std::string name = nameOfLine(lines[i]);
    if (name.empty()) return framing;
    const std::string value = trimmed(lines[i].substr(name.size() + 1));
    if (name == "content-length") lengths.push_back(value);
    if (name == "transfer-encoding") codings.push_back(value);
  }
  if (countCarelessly(head, "content-length") != lengths.size()) return framing;
  if (countCarelessly(head, "transfer-encoding") != codings.size()) return framing;
  const size_t bodyStart = headEnd + 4;
  if (!codings.empty()) {
    const bool isHttp10 = lines[0].ends_with(" HTTP/1.0");
    const bool isChunked = codings.size() == 1 && lowerCase(codings[0]) == "chunked";
    if (isHttp10 || !isChunked || !lengths.empty()) return framing;
    return judgeChunks(bytes, bodyStart);
  }
  uint64_t length = 0;
  if (!lengths.empty()) {
    if (lengths.size() > 1 || lengths[0].empty()) return framing;
    if (lengths[0].find_first_not_of("0123456789") != std::string::npos) return framing;
    const size_t firstDigit = lengths[0].find_first_not_of('0');
    if (firstDigit != std::string::npos && lengths[0].size() - firstDigit > 19) return framing;
    length = std::stoull(lengths[0]);
  }
  framing.verdict = FramingVerdict::kIncomplete;
  if (bytes.size() - bodyStart < length) return framing;
  framing.verdict = FramingVerdict::kComplete;
  framing.body = bytes.substr(bodyStart, length);
  framing.bytes = bodyStart + length;
  return framing;
}

}  // namespace pointsman::test
