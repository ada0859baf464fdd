// What the front answers by itself instead of relaying.
//
// Texts, codes and statuses come from the one catalogue in TypeScript (src/worker/refusals.ts, same
// order), as templates that are filled in here: a refusal costs the worker no JS.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "core/byte_buffer.h"
#include "net/engine.h"

namespace pointsman {

// Same order in src/worker/refusals.ts.
enum class Refusal : uint8_t {
  kMalformed,       // {reason}; status by the parser
  kNotImplemented,  // {reason}; status by the parser
  kMethodUnknown,   // {reason}: the method
  kUnauthenticated,
  kTokenInvalid,
  kForbidden,   // {endpoint}
  kRouteToken,  // {endpoint}
  kNoConfiguration,
  kNoEndpoint,  // {endpoint}
  kNoEntity,    // {endpoint}, {served}
  kMethodNotAllowed,
  kBodyTooLarge,
  kTakenOver,
  kHeadTimeout,
  kBodyTimeout,
  kNoReadyAddress,
  kConnectionLimit,
  kReplicaTimeout,
  kFieldsRefused,
  kUnusableAnswer,
  kNoVerdict,
  kLocalFailed,
  // {entity}
  kDeploymentLimit,
  kDeploymentQueueFull,
  kDeploymentQueueTimeout,
  kEntityLimit,
  kEntityQueueFull,
  kEntityQueueTimeout,
  kHeadTooLarge,  // status by the parser
  kOutOfMemory,
  kLoop,
};
inline constexpr size_t kRefusals = 31;

struct RefusalText {
  int status = 500;
  // Number of the code in the catalogue, by which shared memory counts refusals.
  uint32_t codeNumber = 0;
  // Value of x-pointsman-error.
  std::string code{};
  // JSON with placeholders in braces.
  std::string body{};
  // 0: none.
  uint32_t retryAfterS = 0;
  // Empty: none.
  std::string allow{};
  // Value of www-authenticate (RFC 6750); empty: none.
  std::string challenge{};
};

using RefusalTexts = std::array<RefusalText, kRefusals>;

// What fills the placeholders. Nothing here needs escaping in JSON: names are letters, digits, `-`
// and `_`, reasons are our own.
struct RefusalDetails {
  std::string_view endpoint{};
  std::string_view served{};
  // The one that was picked.
  std::string_view entity{};
  std::string_view reason{};
};

// How a client is told of an exchange that gave no answer.
Refusal refusalOf(Failure failure) noexcept;

// Of a dispatch that gave no target, or of a claim that was lost; not for kNone.
Refusal refusalOf(Engine::Dispatch::Refusal refusal) noexcept;

// Replaces the content of `out` by the body.
void fillRefusal(const RefusalText& text, const RefusalDetails& details, ByteBuffer& out);

}  // namespace pointsman
