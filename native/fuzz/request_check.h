// What has to hold for the request parser whatever the bytes; the fuzz target and the replay of its
// seeds call it.
//
// The first byte chooses the limits, the second the cuts, the rest is what a client sends.
//   1. Every cut gives the same record, and the driver finds no broken contract.
//   2. Where a message was accepted, the reference reader ends it at the same byte with the same
//      body, and no careless reader finds another framing field.
//   3. An accepted message, written again in its plain form, reads as the same message.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "fuzz/cuts.h"
#include "test/framing_reference.h"
#include "test/request_driver.h"
#include "test/request_messages.h"

namespace pointsman::fuzz {

inline constexpr RequestLimits kWideLimits = {
    .headBytesMax = 1'000'000, .targetBytesMax = 1'000'000, .fieldsMax = 1'000'000};

// Origin-form, one Host, Content-Length when there is a body. HTTP/1.0 keeps its version.
inline std::string writePlainly(const test::RequestMessage& message) {
  std::string text = message.method + " " + message.path;
  if (!message.query.empty()) text += "?" + message.query;
  text += message.isHttp10 ? " HTTP/1.0\r\n" : " HTTP/1.1\r\n";
  if (!message.host.empty()) text += "Host: " + message.host + "\r\n";
  for (const std::string& line : test::linesOf(message.fields)) {
    const std::string name = test::nameOfLine(line);
    if (name == "host" || name == "content-length" || name == "transfer-encoding") continue;
    text += line + "\r\n";
  }
  if (!message.body.empty())
    text += "Content-Length: " + std::to_string(message.body.size()) + "\r\n";
  return text + "\r\n" + message.body;
}

inline std::string checkMessage(std::string_view bytes, const test::RequestMessage& message) {
  const test::ReferenceFraming reference = test::judgeFraming(bytes.substr(message.start));
  if (reference.verdict != test::FramingVerdict::kComplete) return "the reference does not accept";
  if (reference.bytes != message.end - message.start) return "the reference ends it elsewhere";
  if (reference.body != message.body) return "the reference has another body";

  const std::string plain = writePlainly(message);
  const test::RequestMessages again = test::readRequestMessages(plain, kWideLimits);
  if (again.list.size() != 1 || !again.list[0].isComplete) return "written again, it is refused";
  const test::RequestMessage& other = again.list[0];
  if (other.end != plain.size() || other.method != message.method || other.path != message.path ||
      other.query != message.query || other.host != message.host || other.body != message.body ||
      other.isHttp10 != message.isHttp10 || other.keepAlive != message.keepAlive) {
    return "written again, it is another message";
  }
  if (writePlainly(other) != plain) return "written a third time, it differs";
  return {};
}

// Empty, or what does not hold.
inline std::string checkRequestBytes(const uint8_t* data, size_t size) {
  if (size < 2) return {};
  const std::string bytes(data + 2, data + size);
  RequestLimits limits;
  if ((data[0] & 1) != 0) limits.headBytesMax = 16 + data[1];
  if ((data[0] & 2) != 0) limits.targetBytesMax = data[1] / 4;
  if ((data[0] & 4) != 0) limits.fieldsMax = data[1] % 8;

  const std::string whole = test::driveRequest(bytes, {}, limits);
  if (whole.starts_with("CONTRACT BROKEN")) return whole;
  for (const size_t longest : {size_t{1}, size_t{7}, size_t{64}}) {
    const std::vector<size_t> cuts = makeCuts(bytes.size(), data[1], longest);
    const std::string pieces = test::driveRequest(bytes, cuts, limits);
    if (pieces != whole) return "whole:  " + whole + "\npieces: " + pieces;
  }
  for (const test::RequestMessage& message : test::readRequestMessages(bytes, limits).list) {
    if (!message.isComplete) continue;
    const std::string complaint = checkMessage(bytes, message);
    if (!complaint.empty()) return complaint + ":\n" + whole;
  }
  return {};
}

}  // namespace pointsman::fuzz
