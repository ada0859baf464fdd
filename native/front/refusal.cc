#include "front/refusal.h"

namespace pointsman {

namespace {

std::string_view valueOf(std::string_view placeholder, const RefusalDetails& details) noexcept {
  if (placeholder == "endpoint") return details.endpoint;
  if (placeholder == "served") return details.served;
  if (placeholder == "entity") return details.entity;
  return details.reason;
}

}  // namespace

Refusal refusalOf(Failure failure) noexcept {
  switch (failure) {
    case Failure::kNoReadyAddress:
    case Failure::kConnectFailed:
    case Failure::kConnectTimeout:
      return Refusal::kNoReadyAddress;
    case Failure::kConnectionLimit:
      return Refusal::kConnectionLimit;
    case Failure::kResponseHeaderTimeout:
    case Failure::kTotalTimeout:
    case Failure::kBodyIdleTimeout:
      return Refusal::kReplicaTimeout;
    case Failure::kOutOfMemory:
      return Refusal::kOutOfMemory;
    case Failure::kBadRequest:
      return Refusal::kFieldsRefused;
    case Failure::kLoop:
      return Refusal::kLoop;
    case Failure::kDeploymentLimit:
      return Refusal::kDeploymentLimit;
    case Failure::kDeploymentQueueFull:
      return Refusal::kDeploymentQueueFull;
    case Failure::kDeploymentQueueTimeout:
      return Refusal::kDeploymentQueueTimeout;
    case Failure::kEntityLimit:
      return Refusal::kEntityLimit;
    case Failure::kEntityQueueFull:
      return Refusal::kEntityQueueFull;
    case Failure::kEntityQueueTimeout:
      return Refusal::kEntityQueueTimeout;
    default:
      return Refusal::kUnusableAnswer;
  }
}

Refusal refusalOf(Engine::Dispatch::Refusal refusal) noexcept {
  switch (refusal) {
    case Engine::Dispatch::Refusal::kNoEndpoint:
      return Refusal::kNoEndpoint;
    case Engine::Dispatch::Refusal::kNoEntity:
      return Refusal::kNoEntity;
    case Engine::Dispatch::Refusal::kNoDeployment:
      return Refusal::kNoReadyAddress;
    case Engine::Dispatch::Refusal::kForbidden:
      return Refusal::kForbidden;
    case Engine::Dispatch::Refusal::kRouteToken:
      return Refusal::kRouteToken;
    case Engine::Dispatch::Refusal::kTakenOver:
      return Refusal::kTakenOver;
    case Engine::Dispatch::Refusal::kNoSnapshot:
    case Engine::Dispatch::Refusal::kNone:
      break;
  }
  return Refusal::kNoConfiguration;
}

// A placeholder is a word in braces; the braces of the JSON itself are followed or preceded by a
// quote.
void fillRefusal(const RefusalText& text, const RefusalDetails& details, ByteBuffer& out) {
  out.clear();
  std::string_view rest = text.body;
  while (!rest.empty()) {
    const size_t open = rest.find('{');
    const size_t close = open == std::string_view::npos ? open : rest.find('}', open);
    const bool isPlaceholder = close != std::string_view::npos && rest[open + 1] != '"';
    if (!isPlaceholder) {
      const size_t upTo = open == std::string_view::npos ? rest.size() : open + 1;
      out.append(rest.substr(0, upTo));
      rest.remove_prefix(upTo);
      continue;
    }
    out.append(rest.substr(0, open));
    out.append(valueOf(rest.substr(open + 1, close - open - 1), details));
    rest.remove_prefix(close + 1);
  }
}

}  // namespace pointsman
