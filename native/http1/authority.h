// The authority of a request: what stands in Host, or between "//" and the path of an absolute URI.
//
// Pure functions, no allocation. The grammar is that of RFC 3986, 3.2 without user information,
// narrowed where a wider reading would let two readers disagree on the host: no empty label but a
// trailing one, no comma (two Host fields that somebody joined), IPv6 as the only literal, ports up
// to 65535.
#pragma once

#include <string_view>

namespace pointsman {

// True for `host` or `host:port`; the port may be empty ("a:"), the host may not.
bool isAuthority(std::string_view text) noexcept;

// True for an IPv6 address in text (RFC 4291, 2.2), without brackets and without a zone.
bool isIpv6(std::string_view text) noexcept;

}  // namespace pointsman
