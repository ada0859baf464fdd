// The target of a request line (RFC 9112, 3.2), taken apart.
//
// Pure functions over views, no allocation. Nothing is decoded or normalized: path and query are
// compared and forwarded as they came, so that no two readers see different ones.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "http1/request_error.h"

namespace pointsman {

struct RequestTarget {
  // A view into the target, or a constant: "/" for an absolute URI without path, "*".
  std::string_view path;
  // `path` is such a constant and no part of the target.
  bool isPathConstant = false;
  // Without '?'.
  std::string_view query;
  // Of an absolute URI; empty otherwise.
  std::string_view authority;
};

namespace detail {

constexpr std::array<bool, 256> makeTargetBytes() {
  std::array<bool, 256> table{};
  for (size_t c = 0x21; c < 0x7f; ++c) table[c] = true;
  for (const char c : {'"', '#', '<', '>', '\\', '^', '`', '{', '|', '}'}) {
    table[static_cast<uint8_t>(c)] = false;
  }
  return table;
}

inline constexpr std::array<bool, 256> kTargetBytes = makeTargetBytes();

}  // namespace detail

// True for the bytes that a URI has (RFC 3986, 2), without '#', which no target has. Bytes that
// browsers and servers read in more than one way, such as the backslash, are not among them.
constexpr bool isTargetByte(char c) noexcept {
  return detail::kTargetBytes[static_cast<uint8_t>(c)];
}

// HOT. `target` consists of target bytes. Answers kNone with `out` filled, kTarget or kConnect.
//
//   /path?query            any method but CONNECT
//   http://host/path?query the same; scheme http or https in any case of letters
//   *                      OPTIONS; also "OPTIONS http://host" means it (RFC 9112, 3.2.4)
RequestError splitTarget(std::string_view method, std::string_view target,
                         RequestTarget& out) noexcept;

}  // namespace pointsman
