// Writes the heads of answers to clients: status line, relayed fields, our own fields, framing.
//
// Appends to the caller's buffer, whose failure is the caller's to ask for.
#pragma once

#include <cstdint>
#include <string_view>

#include "core/byte_buffer.h"
#include "core/rng.h"

namespace pointsman {

// A random UUID in text (RFC 9562, version 4): unique, not secret.
constexpr size_t kRequestIdBytes = 36;
void writeRequestId(Xoshiro256pp& rng, char* out) noexcept;

// True when a client's x-request-id may be echoed: 1 .. 128 visible ASCII characters.
bool isEchoedRequestId(std::string_view text) noexcept;

// The current time as the Date field has it (RFC 9110, 5.6.7), made once a second.
class DateText {
 public:
  // 29 characters, good until the next call.
  std::string_view at(uint64_t unixS) noexcept;

 private:
  uint64_t madeForS_ = 0;
  char text_[32] = {};
};

// What design.md promises on every invocation's answer.
struct AnswerIds {
  std::string_view requestId;
  std::string_view databricksRequestId;
  // Empty: no entity was picked.
  std::string_view servedModel;
  // 0: nothing was dispatched.
  uint64_t revision = 0;
};

// "HTTP/1.1 200 OK\r\n"; an unknown status gets a reason phrase of its class.
void appendStatusLine(int status, ByteBuffer& out);
void appendIds(const AnswerIds& ids, ByteBuffer& out);

}  // namespace pointsman
