// Both parsers as a program, for tests and comparisons that are not written in C++.
//
// Each line of the input is one case, each line of the output its result as JSON:
//
//   request HEX      what a client sends on one connection
//   response HEX     what a replica sends before it closes
//   head HEX         the same as the answer to HEAD
//
// Every case is also fed byte by byte, and a short one cut at every place; a cut that changes the
// record ends the program. Strings in the output are in hex, because they hold any byte.
#include <cstdlib>
#include <iostream>
#include <string>
#include <string_view>
#include <vector>

#include "http1/response_parser.h"
#include "test/request_driver.h"
#include "test/request_messages.h"
#include "test/response_driver.h"

namespace pointsman::test {
namespace {

// Cutting costs the square of the size.
constexpr size_t kEveryCutBytesMax = 1'000;

int digitOf(char c) {
  return c <= '9' ? c - '0' : c - 'a' + 10;
}

std::string fromHex(std::string_view hex) {
  std::string bytes;
  for (size_t i = 0; i + 1 < hex.size(); i += 2) {
    bytes += static_cast<char>(digitOf(hex[i]) * 16 + digitOf(hex[i + 1]));
  }
  return bytes;
}

std::string toHex(std::string_view bytes) {
  static constexpr std::string_view kDigits = "0123456789abcdef";
  std::string hex;
  for (const char c : bytes) {
    const auto byte = static_cast<unsigned char>(c);
    hex += kDigits[byte >> 4];
    hex += kDigits[byte & 15];
  }
  return hex;
}

std::string text(std::string_view name, std::string_view value) {
  return std::string("\"").append(name).append("\":\"").append(value).append("\",");
}

std::string flag(std::string_view name, bool value) {
  return std::string("\"").append(name).append(value ? "\":true," : "\":false,");
}

std::string closed(std::string object) {
  object.back() = '}';
  return object;
}

template <class Drive>
void checkCuts(const std::string& bytes, Drive drive) {
  const std::string whole = drive(std::vector<size_t>());
  std::vector<std::vector<size_t>> all(1);
  for (size_t i = 1; i < bytes.size(); ++i) all[0].push_back(i);
  for (size_t i = 1; i < bytes.size() && bytes.size() <= kEveryCutBytesMax; ++i) all.push_back({i});
  for (const std::vector<size_t>& cuts : all) {
    const std::string pieces = drive(cuts);
    if (pieces == whole && !whole.starts_with("CONTRACT BROKEN")) continue;
    std::cerr << "whole:  " << whole << "\npieces: " << pieces << '\n';
    std::exit(1);
  }
}

std::string replayRequest(const std::string& bytes) {
  checkCuts(bytes, [&](const std::vector<size_t>& cuts) { return driveRequest(bytes, cuts); });
  const RequestMessages messages = readRequestMessages(bytes);
  std::string list;
  for (const RequestMessage& message : messages.list) {
    const std::string one =
        "{" + text("method", toHex(message.method)) + text("path", toHex(message.path)) +
        text("query", toHex(message.query)) + text("host", toHex(message.host)) +
        text("fields", toHex(message.fields)) + text("body", toHex(message.body)) +
        flag("isHttp10", message.isHttp10) + flag("keepAlive", message.keepAlive) +
        flag("isComplete", message.isComplete);
    list += closed(one) + ",";
  }
  if (!list.empty()) list.pop_back();
  return "{\"messages\":[" + list + "]," + text("error", nameOf(messages.error)) +
         "\"status\":" + std::to_string(statusOf(messages.error)) + "}";
}

std::string replayResponse(const std::string& bytes, bool isHeadRequest) {
  const DriveOptions options{.isHeadRequest = isHeadRequest};
  checkCuts(bytes,
            [&](const std::vector<size_t>& cuts) { return driveResponse(bytes, cuts, options); });
  ResponseParser parser;
  parser.reset(isHeadRequest);
  std::string head;
  std::string body;
  std::string_view input = bytes;
  for (;;) {
    ResponseParser::Step step = parser.next(input);
    input.remove_prefix(step.consumed);
    if (step.kind == StepKind::kNeedMore) step = parser.finish();
    if (step.kind == StepKind::kHead) {
      head = "\"statusCode\":" + std::to_string(parser.status()) + ",";
      std::string lines;
      for (const HeaderField& field : parser.fields()) {
        lines.append(field.name).append(": ").append(field.value).append("\r\n");
      }
      head += text("fields", toHex(lines));
    }
    body.append(step.body);
    if (step.kind == StepKind::kEnd || step.kind == StepKind::kError) {
      return closed("{" + head + text("body", toHex(body)) +
                    text("error", parseErrorName(step.error)) +
                    flag("isReusable", parser.isReusable()));
    }
  }
}

int replayAll() {
  for (std::string line; std::getline(std::cin, line);) {
    const size_t blank = line.find(' ');
    if (blank == std::string::npos) return 1;
    const std::string bytes = fromHex(std::string_view(line).substr(blank + 1));
    const std::string name = line.substr(0, blank);
    std::cout << (name == "request" ? replayRequest(bytes) : replayResponse(bytes, name == "head"))
              << '\n';
  }
  return 0;
}

}  // namespace
}  // namespace pointsman::test

int main() {
  return pointsman::test::replayAll();
}
