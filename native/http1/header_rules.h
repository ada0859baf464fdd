// Which header fields pass through the router, in both directions.
//
// Pure functions over fields that were received; the only memory they touch is that of the `out`
// they append to, and whether it has failed is the caller's to ask. Fields of our own (Host,
// framing, credentials for the replica, request ids, forwarding information) are never copied: the
// caller writes them after these functions, so that no sender can set one, nor take one away by
// naming it in Connection.
//
// A Connection option that names an end-to-end field removes that field, whichever it is: RFC
// 9110, 7.6.1 asks for it. A sender can so lose its own Content-Type; protecting a list of names
// was rejected, because then the two ends would disagree on what was removed.
#pragma once

#include <array>
#include <cstddef>
#include <span>
#include <string_view>

#include "core/byte_buffer.h"
#include "http1/field.h"

namespace pointsman {

// Options of all Connection fields of a message that could name a field. Views into the fields'
// values.
class ConnectionOptions {
 public:
  // More names than any honest message has; bounds the comparisons per field.
  static constexpr size_t kCountMax = 32;

  // Adds the options of one Connection field's value. False when there are more than kCountMax.
  [[nodiscard]] bool add(std::string_view connectionValue) noexcept;

  // Adds those of every Connection field in the list; false as above.
  [[nodiscard]] bool addAll(std::span<const HeaderField> fields) noexcept;

  // True when an option names this field; letters' case does not matter.
  bool names(std::string_view fieldName) const noexcept;

  // True when no option was added that the fixed lists do not cover.
  bool isEmpty() const noexcept { return count_ == 0; }

 private:
  std::array<std::string_view, kCountMax> names_;
  size_t count_ = 0;
};

// Appends `name: value\r\n` for every field of a client's request that a replica should see.
// `rawFields` is a sequence of such lines without the empty line at the end, not a part of `out`.
//
// Left out: hop-by-hop fields (Connection and what it names, Keep-Alive, Proxy-Connection, TE,
// Trailer, Transfer-Encoding, Upgrade, HTTP2-Settings) · Host, Content-Length, Expect and
// x-request-id, which the caller answers for · the client's credentials (Authorization,
// Proxy-Authorization, Cookie) · what a replica may take for the router's word (Forwarded,
// X-Forwarded-*, X-Real-IP, x-databricks-*, x-pointsman-*) · names with an underscore, which many
// servers read as a hyphen.
//
// False, with `out` as it was, when a line is malformed or Connection has more than
// ConnectionOptions::kCountMax options: the request should be refused. `hops`: how many members of
// Via say that a pointsman has had the request before; any number when false.
//
// HOT: one pass unless Connection names an end-to-end field; no allocation but the growth of `out`.
[[nodiscard]] bool appendForwardedRequestFields(std::string_view rawFields, ByteBuffer& out,
                                                size_t& hops);

// What every pointsman calls itself in Via (RFC 9110, 7.6.3).
inline constexpr std::string_view kPseudonym = "pointsman";

// Tells the worker's own JS who the client is; a client's field of this name never gets there.
inline constexpr std::string_view kClientAddressField = "x-pointsman-client";
// All fields of the request, `name: value\r\n` each, in hexadecimal digits.
inline constexpr std::string_view kAllFieldsField = "x-pointsman-fields";

// As appendForwardedRequestFields for a request that the worker's own JS answers: credentials and
// all other end-to-end fields stay, also where Connection names Authorization. Left out: hop-by-hop
// fields, Host, Content-Length and Expect, which the caller answers for, and the two fields of our
// own. When uWebSockets.js could not read one of those that stay, it is left out too and
// kAllFieldsField has all of them.
[[nodiscard]] bool appendLocalRequestFields(std::string_view rawFields, ByteBuffer& out);

// True when the field of a replica's answer belongs to the client. Left out: hop-by-hop fields, the
// fields that frame the body, our own names (served-model-name, x-databricks-request-id,
// x-request-id, x-pointsman-*), and Date, which the router writes itself, so that every answer has
// one. Server is the replica's and stays; so do Set-Cookie and whatever else is end-to-end.
bool isForwardedResponseField(std::string_view name, const ConnectionOptions& options) noexcept;

// Appends `name: value\r\n` for every field of a replica's answer that isForwardedResponseField
// lets pass. The fields are those of a ResponseParser and so well-formed. False, with `out` as it
// was, when Connection has too many options. HOT: as above.
[[nodiscard]] bool appendForwardedResponseFields(std::span<const HeaderField> fields,
                                                 ByteBuffer& out);

// The same for an answer of the worker's own JS, whose word is the router's: only hop-by-hop
// fields, framing and Date are left out.
void appendLocalResponseFields(std::span<const HeaderField> fields, ByteBuffer& out);

}  // namespace pointsman
