#include "front/answer_head.h"

#include <array>
#include <cstring>
#include <ctime>

#include "net/request_head.h"

namespace pointsman {

namespace {

constexpr char kHexDigits[] = "0123456789abcdef";
constexpr size_t kEchoedRequestIdBytesMax = 128;

void writeHex(uint64_t word, size_t digits, char* out) noexcept {
  for (size_t i = 0; i < digits; i++) {
    out[i] = kHexDigits[(word >> (4 * (digits - 1 - i))) & 15];
  }
}

std::string_view reasonPhraseOf(int status) noexcept {
  switch (status) {
    case 200:
      return "OK";
    case 201:
      return "Created";
    case 202:
      return "Accepted";
    case 204:
      return "No Content";
    case 206:
      return "Partial Content";
    case 301:
      return "Moved Permanently";
    case 302:
      return "Found";
    case 303:
      return "See Other";
    case 304:
      return "Not Modified";
    case 307:
      return "Temporary Redirect";
    case 308:
      return "Permanent Redirect";
    case 400:
      return "Bad Request";
    case 401:
      return "Unauthorized";
    case 403:
      return "Forbidden";
    case 404:
      return "Not Found";
    case 405:
      return "Method Not Allowed";
    case 408:
      return "Request Timeout";
    case 409:
      return "Conflict";
    case 413:
      return "Payload Too Large";
    case 414:
      return "URI Too Long";
    case 415:
      return "Unsupported Media Type";
    case 417:
      return "Expectation Failed";
    case 422:
      return "Unprocessable Entity";
    case 429:
      return "Too Many Requests";
    case 431:
      return "Request Header Fields Too Large";
    case 500:
      return "Internal Server Error";
    case 501:
      return "Not Implemented";
    case 502:
      return "Bad Gateway";
    case 503:
      return "Service Unavailable";
    case 504:
      return "Gateway Timeout";
    case 505:
      return "HTTP Version Not Supported";
    default:
      // RFC 9112, section 4: the phrase may be absent, the blank before it not.
      return "";
  }
}

}  // namespace

void writeRequestId(Xoshiro256pp& rng, char* out) noexcept {
  const uint64_t high = (rng.next() & ~uint64_t{0xf000}) | 0x4000;
  const uint64_t low = (rng.next() & ~(uint64_t{3} << 62)) | (uint64_t{2} << 62);
  writeHex(high >> 32, 8, out);
  out[8] = '-';
  writeHex(high >> 16, 4, out + 9);
  out[13] = '-';
  writeHex(high, 4, out + 14);
  out[18] = '-';
  writeHex(low >> 48, 4, out + 19);
  out[23] = '-';
  writeHex(low, 12, out + 24);
}

bool isEchoedRequestId(std::string_view text) noexcept {
  if (text.empty() || text.size() > kEchoedRequestIdBytesMax) return false;
  for (const char c : text) {
    if (c < 0x21 || c > 0x7e) return false;
  }
  return true;
}

std::string_view DateText::at(uint64_t unixS) noexcept {
  if (unixS != madeForS_) {
    madeForS_ = unixS;
    const auto time = static_cast<time_t>(unixS);
    tm parts{};
    gmtime_r(&time, &parts);
    constexpr std::array<const char*, 7> kDays{"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
    constexpr std::array<const char*, 12> kMonths{"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                                  "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
    // Not strftime's names: those follow the locale.
    char format[32];
    std::snprintf(format, sizeof format, "%s, %%d %s %%Y %%H:%%M:%%S GMT",
                  kDays[static_cast<size_t>(parts.tm_wday)],
                  kMonths[static_cast<size_t>(parts.tm_mon)]);
    std::strftime(text_, sizeof text_, format, &parts);
  }
  return text_;
}

void appendStatusLine(int status, ByteBuffer& out) {
  out.append("HTTP/1.1 ");
  appendNumber(out, static_cast<uint64_t>(status), 10);
  out.append(" ").append(reasonPhraseOf(status)).append("\r\n");
}

void appendIds(const AnswerIds& ids, ByteBuffer& out) {
  if (!ids.servedModel.empty()) {
    out.append("served-model-name: ").append(ids.servedModel).append("\r\n");
  }
  out.append("x-databricks-request-id: ").append(ids.databricksRequestId);
  out.append("\r\nx-request-id: ").append(ids.requestId).append("\r\n");
  if (ids.revision > 0) {
    out.append("x-pointsman-revision: ");
    appendNumber(out, ids.revision, 10);
    out.append("\r\n");
  }
}

}  // namespace pointsman
