// The lists of names, by length first: most fields are decided by one jump and no comparison.
#include "http1/header_rules.h"

#include <algorithm>

namespace pointsman {

namespace {

bool startsWithLower(std::string_view text, std::string_view lowerPrefix) noexcept {
  return equalsLower(text.substr(0, lowerPrefix.size()), lowerPrefix);
}

bool equalsIgnoringCase(std::string_view a, std::string_view b) noexcept {
  if (a.size() != b.size()) return false;
  for (size_t i = 0; i < a.size(); ++i) {
    if (toLower(a[i]) != toLower(b[i])) return false;
  }
  return true;
}

bool isConnection(std::string_view name) noexcept {
  return equalsLower(name, "connection");
}

// Fields that concern one hop only, whether or not Connection names them, and the body's length,
// which every hop states for itself.
bool isHopField(std::string_view name) noexcept {
  switch (name.size()) {
    case 2:
      return equalsLower(name, "te");
    case 7:
      return equalsLower(name, "trailer") || equalsLower(name, "upgrade");
    case 10:
      return isConnection(name) || equalsLower(name, "keep-alive");
    case 14:
      return equalsLower(name, "content-length") || equalsLower(name, "http2-settings");
    case 16:
      return equalsLower(name, "proxy-connection");
    case 17:
      return equalsLower(name, "transfer-encoding");
    default:
      return false;
  }
}

// What a client says to the router, or only the router may say to a replica.
bool isRouterRequestField(std::string_view name) noexcept {
  switch (name.size()) {
    case 4:
      return equalsLower(name, "host");
    case 6:
      return equalsLower(name, "cookie") || equalsLower(name, "expect");
    case 9:
      return equalsLower(name, "forwarded") || equalsLower(name, "x-real-ip");
    case 12:
      return equalsLower(name, "x-request-id");
    case 13:
      return equalsLower(name, "authorization");
    case 19:
      return equalsLower(name, "proxy-authorization");
    default:
      return false;
  }
}

bool isRouterRequestPrefix(std::string_view name) noexcept {
  if (name.size() < 2 || toLower(name[0]) != 'x' || name[1] != '-') return false;
  return startsWithLower(name, "x-forwarded-") || startsWithLower(name, "x-databricks-") ||
         startsWithLower(name, "x-pointsman-");
}

bool isForwardedRequestField(std::string_view name, const ConnectionOptions& options) noexcept {
  if (isHopField(name) || isRouterRequestField(name) || isRouterRequestPrefix(name)) return false;
  return name.find('_') == std::string_view::npos && !options.names(name);
}

bool isRouterResponseField(std::string_view name) noexcept {
  switch (name.size()) {
    case 4:
      return equalsLower(name, "date");
    case 12:
      return equalsLower(name, "x-request-id");
    case 17:
      return equalsLower(name, "served-model-name");
    // Credentials are asked of the router, which is the replica's client, and of nobody behind it.
    case 18:
      return equalsLower(name, "proxy-authenticate");
    case 23:
      return equalsLower(name, "x-databricks-request-id");
    case 25:
      return equalsLower(name, "proxy-authentication-info");
    default:
      return false;
  }
}

void appendField(HeaderField field, ByteBuffer& out) {
  out.append(field.name).append(": ").append(field.value).append("\r\n");
}

// Takes one line off `rest`; false when it is no well-formed field line.
bool takeFieldLine(std::string_view& rest, HeaderField& field) noexcept {
  const size_t end = rest.find("\r\n");
  if (end == std::string_view::npos) return false;
  const std::string_view line = rest.substr(0, end);
  const size_t colon = line.find(':');
  if (colon == std::string_view::npos) return false;
  field = {line.substr(0, colon), trimBlanks(line.substr(colon + 1))};
  rest.remove_prefix(end + 2);
  return isToken(field.name) && isFieldValue(field.value);
}

// uWebSockets.js waits for ever behind any other byte in a name, takes bytes above ASCII off the
// ends of values, and gives the rest to JS as UTF-8.
bool isReadableByJs(HeaderField field) noexcept {
  return std::all_of(field.name.begin(), field.name.end(),
                     [](char c) {
                       return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                              (c >= '0' && c <= '9') || c == '-';
                     }) &&
         std::all_of(field.value.begin(), field.value.end(),
                     [](char c) { return static_cast<unsigned char>(c) < 0x80; });
}

bool isLocalRequestField(std::string_view name, const ConnectionOptions& options) noexcept {
  if (isHopField(name) || equalsLower(name, "host") || equalsLower(name, "expect") ||
      equalsLower(name, "content-length") || equalsLower(name, kClientAddressField) ||
      equalsLower(name, kAllFieldsField)) {
    return false;
  }
  return !options.names(name) || equalsLower(name, "authorization");
}

// A member of Via is `protocol received-by`, and what may follow is a comment.
size_t ownMembersOf(std::string_view viaValue) noexcept {
  size_t count = 0;
  while (!viaValue.empty()) {
    std::string_view member = takeListMember(viaValue);
    member.remove_prefix(std::min(member.find(' '), member.size()));
    member = trimBlanks(member);
    if (equalsLower(member.substr(0, member.find(' ')), kPseudonym)) count++;
  }
  return count;
}

using IsWanted = bool (*)(std::string_view name, const ConnectionOptions& removed) noexcept;

// What a pass over all fields came across.
struct Found {
  ConnectionOptions options;
  size_t hops = 0;
};

// Copies what `isWanted` lets pass and `removed` does not stop.
bool copyRequestFields(std::string_view rawFields, IsWanted isWanted,
                       const ConnectionOptions& removed, Found& found, ByteBuffer& out) {
  while (!rawFields.empty()) {
    HeaderField field;
    if (!takeFieldLine(rawFields, field)) return false;
    if (isConnection(field.name) && !found.options.add(field.value)) return false;
    if (equalsLower(field.name, "via")) found.hops += ownMembersOf(field.value);
    if (isWanted(field.name, removed)) appendField(field, out);
  }
  return true;
}

bool appendRequestFieldsWanted(std::string_view rawFields, IsWanted isWanted, ByteBuffer& out,
                               size_t& hops) {
  const size_t start = out.size();
  Found found;
  bool isDone = copyRequestFields(rawFields, isWanted, {}, found, out);
  hops = found.hops;
  if (isDone && !found.options.isEmpty()) {
    // Connection may stand behind what it names, so the copy is made again with all names known.
    // Rare: the usual options are on the lists, and such requests are done in one pass.
    Found sameAgain;
    out.truncate(start);
    isDone = copyRequestFields(rawFields, isWanted, found.options, sameAgain, out);
  }
  if (!isDone) out.truncate(start);
  return isDone;
}

}  // namespace

bool ConnectionOptions::add(std::string_view connectionValue) noexcept {
  while (!connectionValue.empty()) {
    const std::string_view option = takeListMember(connectionValue);
    // What is on a list anyway needs no room here: with close, keep-alive, upgrade and te that is
    // nearly all.
    if (!isToken(option) || equalsLower(option, "close") || isHopField(option)) continue;
    if (count_ == kCountMax) return false;
    names_[count_++] = option;
  }
  return true;
}

bool ConnectionOptions::addAll(std::span<const HeaderField> fields) noexcept {
  for (const HeaderField& field : fields) {
    if (isConnection(field.name) && !add(field.value)) return false;
  }
  return true;
}

bool ConnectionOptions::names(std::string_view fieldName) const noexcept {
  for (size_t i = 0; i < count_; ++i) {
    if (equalsIgnoringCase(names_[i], fieldName)) return true;
  }
  return false;
}

bool appendForwardedRequestFields(std::string_view rawFields, ByteBuffer& out, size_t& hops) {
  return appendRequestFieldsWanted(rawFields, isForwardedRequestField, out, hops);
}

bool appendLocalRequestFields(std::string_view rawFields, ByteBuffer& out) {
  const size_t start = out.size();
  size_t hops = 0;
  if (!appendRequestFieldsWanted(rawFields, isLocalRequestField, out, hops)) return false;
  bool areReadable = true;
  HeaderField field;
  std::string_view rest = out;
  rest.remove_prefix(start);
  while (areReadable && takeFieldLine(rest, field)) areReadable = isReadableByJs(field);
  if (areReadable) return true;
  ByteBuffer all;
  all.append(std::string_view{out}.substr(start));
  if (all.failed()) out.fail();
  out.truncate(start);
  rest = all;
  while (takeFieldLine(rest, field)) {
    if (isReadableByJs(field)) appendField(field, out);
  }
  constexpr std::string_view kDigits = "0123456789abcdef";
  out.append(kAllFieldsField).append(": ");
  for (const char c : std::string_view{all}) {
    const auto byte = static_cast<unsigned char>(c);
    out.append(kDigits[byte >> 4]);
    out.append(kDigits[byte & 15]);
  }
  out.append("\r\n");
  return true;
}

bool isForwardedResponseField(std::string_view name, const ConnectionOptions& options) noexcept {
  if (isHopField(name) || isRouterResponseField(name)) return false;
  return !startsWithLower(name, "x-pointsman-") && !options.names(name);
}

bool appendForwardedResponseFields(std::span<const HeaderField> fields, ByteBuffer& out) {
  ConnectionOptions options;
  if (!options.addAll(fields)) return false;
  for (const HeaderField& field : fields) {
    if (isForwardedResponseField(field.name, options)) appendField(field, out);
  }
  return true;
}

void appendLocalResponseFields(std::span<const HeaderField> fields, ByteBuffer& out) {
  for (const HeaderField& field : fields) {
    if (!isHopField(field.name) && !equalsLower(field.name, "date")) appendField(field, out);
  }
}

}  // namespace pointsman
