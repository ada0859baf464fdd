// Paths of the data port that invoke an endpoint:
//
//   /serving-endpoints/{name}/invocations
//   /serving-endpoints/{name}/served-models/{served}/invocations
//   /{workspace-id}/serving-endpoints/...            the same two
//
// Names are compared byte for byte: no decoding, no case folding, no empty or dot segments, so that
// the path a permission speaks of and the path that is served can never differ. The JS door has the
// same rules (src/worker/invocation-path.ts); native/test/invocation_path_test.cc and its unit test
// share their cases.
#pragma once

#include <string_view>

namespace pointsman {

struct InvocationPath {
  std::string_view endpoint;
  // Empty: routed by the split.
  std::string_view served;
  // With the workspace id before it: the form that route-optimized endpoints show.
  bool hasWorkspace = false;
};

// False when the path is no invocation; the views lie in `path`.
bool parseInvocationPath(std::string_view path, std::string_view workspaceId,
                         InvocationPath& invocation) noexcept;

// What stands before the domain in `{endpoint-id}.{domain}[.][:port]`, as it was sent; empty when
// the host lies elsewhere. It may be no id: a host below the domain opens its own endpoint alone.
std::string_view endpointIdOfHost(std::string_view host, std::string_view domain) noexcept;

}  // namespace pointsman
