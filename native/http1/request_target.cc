#include "http1/request_target.h"

#include <cstddef>

#include "http1/authority.h"
#include "http1/field.h"

namespace pointsman {

namespace {

void splitQuery(std::string_view text, RequestTarget& out) noexcept {
  const size_t mark = text.find('?');
  out.path = text.substr(0, mark);
  if (mark != std::string_view::npos) out.query = text.substr(mark + 1);
}

RequestError splitAbsolute(std::string_view method, std::string_view target,
                           RequestTarget& out) noexcept {
  size_t schemeBytes = 0;
  if (equalsLower(target.substr(0, 7), "http://")) {
    schemeBytes = 7;
  } else if (equalsLower(target.substr(0, 8), "https://")) {
    schemeBytes = 8;
  } else {
    return RequestError::kTarget;
  }
  const std::string_view rest = target.substr(schemeBytes);
  const size_t end = rest.find_first_of("/?");
  out.authority = rest.substr(0, end);
  if (!isAuthority(out.authority)) return RequestError::kTarget;
  if (end == std::string_view::npos) {
    out.path = method == "OPTIONS" ? "*" : "/";
    out.isPathConstant = true;
    return RequestError::kNone;
  }
  splitQuery(rest.substr(end), out);
  if (out.path.empty()) {
    out.path = "/";
    out.isPathConstant = true;
  }
  return RequestError::kNone;
}

}  // namespace

RequestError splitTarget(std::string_view method, std::string_view target,
                         RequestTarget& out) noexcept {
  if (method == "CONNECT") return RequestError::kConnect;
  if (target.empty()) return RequestError::kTarget;
  if (target.front() == '/') {
    splitQuery(target, out);
    return RequestError::kNone;
  }
  if (target == "*") {
    out.path = target;
    return method == "OPTIONS" ? RequestError::kNone : RequestError::kTarget;
  }
  return splitAbsolute(method, target, out);
}

}  // namespace pointsman
