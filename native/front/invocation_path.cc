#include "front/invocation_path.h"

#include <cstddef>

namespace pointsman {

namespace {

constexpr std::string_view kPrefix = "/serving-endpoints/";
constexpr std::string_view kSuffix = "/invocations";
constexpr std::string_view kServed = "/served-models/";
constexpr size_t kNameBytesMax = 128;

bool isName(std::string_view text) noexcept {
  if (text.empty() || text.size() > kNameBytesMax) return false;
  for (const char c : text) {
    const bool isNameByte = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                            (c >= '0' && c <= '9') || c == '-' || c == '_';
    if (!isNameByte) return false;
  }
  return true;
}

char lower(char c) noexcept {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
}

// Cuts `/{workspaceId}` off the front where it stands before the prefix.
std::string_view withoutWorkspace(std::string_view path, std::string_view workspaceId) noexcept {
  const bool isOwn = path.size() > workspaceId.size() + 1 && path[0] == '/' &&
                     path.substr(1).starts_with(workspaceId) &&
                     path.substr(workspaceId.size() + 1).starts_with(kPrefix);
  return isOwn ? path.substr(workspaceId.size() + 1) : path;
}

}  // namespace

bool parseInvocationPath(std::string_view path, std::string_view workspaceId,
                         InvocationPath& invocation) noexcept {
  const bool hasWorkspace = !path.starts_with(kPrefix);
  if (hasWorkspace) path = withoutWorkspace(path, workspaceId);
  if (!path.starts_with(kPrefix) || !path.ends_with(kSuffix)) return false;
  if (path.size() < kPrefix.size() + kSuffix.size()) return false;
  const std::string_view middle =
      path.substr(kPrefix.size(), path.size() - kPrefix.size() - kSuffix.size());
  const size_t served = middle.find(kServed);
  if (served == std::string_view::npos) {
    invocation = {.endpoint = middle, .served = {}, .hasWorkspace = hasWorkspace};
    return isName(middle);
  }
  invocation = {.endpoint = middle.substr(0, served),
                .served = middle.substr(served + kServed.size()),
                .hasWorkspace = hasWorkspace};
  return isName(invocation.endpoint) && isName(invocation.served);
}

std::string_view endpointIdOfHost(std::string_view host, std::string_view domain) noexcept {
  if (domain.empty()) return {};
  std::string_view name = host.substr(0, host.rfind(':'));
  // The same name, said to be complete (RFC 1034, 3.1).
  if (name.ends_with('.')) name.remove_suffix(1);
  if (name.size() <= domain.size() + 1) return {};
  const size_t dot = name.size() - domain.size() - 1;
  if (name[dot] != '.') return {};
  for (size_t at = 0; at < domain.size(); at++) {
    if (lower(name[dot + 1 + at]) != lower(domain[at])) return {};
  }
  return name.substr(0, dot);
}

}  // namespace pointsman
