#include "net/request_head.h"

#include <array>
#include <charconv>
#include <cstring>

#include "http1/field.h"
#include "http1/header_rules.h"

namespace pointsman {

namespace {

bool equalsIgnoringCase(std::string_view a, std::string_view b) noexcept {
  if (a.size() != b.size()) return false;
  for (size_t i = 0; i < a.size(); i++) {
    if (toLower(a[i]) != toLower(b[i])) return false;
  }
  return true;
}

// Takes one line with its end off `rest`. Every line here was written by us: it has a colon and
// ends in CRLF.
std::string_view takeLine(std::string_view& rest) noexcept {
  const size_t end = rest.find('\n');
  const std::string_view line = rest.substr(0, end == std::string_view::npos ? end : end + 1);
  rest.remove_prefix(line.size());
  return line;
}

std::string_view nameOf(std::string_view line) noexcept {
  return line.substr(0, line.find(':'));
}

bool setsField(std::string_view lines, std::string_view name) noexcept {
  while (!lines.empty()) {
    if (equalsIgnoringCase(nameOf(takeLine(lines)), name)) return true;
  }
  return false;
}

// Removes the lines of `out` whose field `lines` sets too. In place: lines only move towards the
// front.
void removeFieldsSetBy(std::string_view lines, ByteBuffer& out) {
  if (lines.empty()) return;
  std::string_view rest = out;
  size_t kept = 0;
  while (!rest.empty()) {
    const std::string_view line = takeLine(rest);
    if (setsField(lines, nameOf(line))) continue;
    std::memmove(out.data() + kept, line.data(), line.size());
    kept += line.size();
  }
  out.truncate(kept);
}

}  // namespace

bool isIdempotent(std::string_view method) noexcept {
  return method == "GET" || method == "HEAD" || method == "PUT" || method == "DELETE" ||
         method == "OPTIONS" || method == "TRACE";
}

void appendNumber(ByteBuffer& out, uint64_t value, int base) {
  std::array<char, 24> digits{};
  const auto end = std::to_chars(digits.begin(), digits.end(), value, base);
  out.append({digits.data(), static_cast<size_t>(end.ptr - digits.data())});
}

HeadFault appendRequestFields(const RequestHead& head, const DeploymentSpec& deployment,
                              ByteBuffer& out) {
  out.clear();
  if (deployment.protocol == Protocol::kLocal) {
    if (!appendLocalRequestFields(head.fields, out)) return HeadFault::kFields;
    // HTTP/1.0 may come without; uWebSockets.js may not be asked without.
    out.append("host: ").append(head.host.empty() ? "localhost" : head.host).append("\r\n");
    out.append(kClientAddressField).append(": ").append(head.clientAddress).append("\r\n");
  } else {
    size_t hops = 0;
    if (!appendForwardedRequestFields(head.fields, out, hops)) return HeadFault::kFields;
    if (hops > kHopsMax) return HeadFault::kLoop;
    out.append("via: 1.1 ").append(kPseudonym).append("\r\n");
    out.append("x-forwarded-for: ").append(head.clientAddress).append("\r\n");
    out.append("x-forwarded-proto: http\r\n");
    out.append("x-request-id: ").append(head.requestId).append("\r\n");
    removeFieldsSetBy(deployment.headerLines, out);
  }
  if (head.contentLength < 0) {
    out.append("transfer-encoding: chunked\r\n");
  } else if (head.contentLength > 0 || head.method == "PUT" || !isIdempotent(head.method)) {
    // RFC 9110, 8.6: also for an empty body where the method gives a body a meaning.
    out.append("content-length: ");
    appendNumber(out, static_cast<uint64_t>(head.contentLength), 10);
    out.append("\r\n");
  }
  out.append(deployment.headerLines);
  out.append("\r\n");
  return HeadFault::kNone;
}

}  // namespace pointsman
