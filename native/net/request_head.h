// The head of a relayed request: what a replica gets to see of the client's request.
//
// Pure functions over the caller's strings. Request line and Host belong to the address and are
// written by the exchange for every attempt; all the rest is the same for every attempt and is
// written here once.
#pragma once

#include <cstdint>
#include <string_view>

#include "core/byte_buffer.h"
#include "net/deployment.h"

namespace pointsman {

struct RequestHead {
  std::string_view method;
  // Without '?'; only a raw deployment gets it.
  std::string_view query;
  // As received, "name: value\r\n"*; the forwarding rules are applied here.
  std::string_view fields;
  // IP literal of the client.
  std::string_view clientAddress;
  std::string_view requestId;
  // -1: unknown, sent chunked.
  int64_t contentLength = 0;
  // Only a local deployment gets these: the path as received, and the authority asked for.
  std::string_view path{};
  std::string_view host{};
  // Counted as served by the native door.
  bool isNative = false;
};

// Why a request may not go to a replica.
enum class HeadFault : uint8_t {
  kNone,
  // The client's fields cannot be forwarded.
  kFields,
  // More than kHopsMax pointsmans have had it: some deployment's replica leads back to one.
  kLoop,
};

// Tiers of pointsmans that a request may have passed. An honest set-up has two or three; every one
// that a loop makes holds a connection at both ends.
inline constexpr size_t kHopsMax = 8;

// RFC 9110, 9.2.2: may be sent twice without doing more than once.
bool isIdempotent(std::string_view method) noexcept;

void appendNumber(ByteBuffer& out, uint64_t value, int base);

// Appends the fields and the empty line. Our own fields come after the client's, so that no
// Connection option takes one away; the deployment's come last and replace what stands before them
// under the same name, so that no client sets one. Exactly one framing field, or none for a request
// without a body. With a fault `out` is in any state; whether there was memory, `out` knows.
[[nodiscard]] HeadFault appendRequestFields(const RequestHead& head,
                                            const DeploymentSpec& deployment, ByteBuffer& out);

}  // namespace pointsman
