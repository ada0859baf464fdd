// Requests of clients, good and bad, each with what the parser has to report.
//
// The record's form is that of RequestDriver. Bodies, pipelining and chunks are in
// request_body_cases.h.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "test/request_driver.h"

namespace pointsman::test {

struct RequestCase {
  std::string bytes;
  std::string expected;
  RequestLimits limits = {};
};

inline constexpr RequestLimits kTinyRequest = {
    .headBytesMax = 64, .targetBytesMax = 16, .fieldsMax = 3};

inline const std::string kHostField = "Host: a\r\n";

// A request line, Host and the fields given.
inline std::string line(std::string_view requestLine, std::string_view fields = "") {
  return std::string(requestLine).append("\r\n").append(kHostField).append(fields).append("\r\n");
}

inline std::string get(std::string_view fields) {
  return line("GET / HTTP/1.1", fields);
}

inline std::string post(std::string_view fields, std::string_view body = "") {
  return line("POST /p HTTP/1.1", fields).append(body);
}

inline std::string host(std::string_view value) {
  return std::string("GET / HTTP/1.1\r\nHost: ").append(value).append("\r\n\r\n");
}

inline std::string repeat(std::string_view text, size_t times) {
  std::string all;
  for (size_t i = 0; i < times; ++i) all.append(text);
  return all;
}

inline std::vector<RequestCase> requestLineCases() {
  const std::string method = "error method";
  const std::string version = "error version";
  const std::string unsupported = "error version_unsupported";
  return {
      {"", "more"},
      {"G", "more started"},
      {"GET", "more started"},
      {"GET / HTTP/1.1", "more started"},
      {"GET / HTTP/1.1\r\nHost: a\r\n", "more started"},
      {"GET / HTTP/1.1\r\nHost: a\r\n\r", "more started"},
      {get(""), "GET / @a 1.1 keep |Host:a end more"},
      {line("get /x HTTP/1.1"), "get /x @a 1.1 keep |Host:a end more"},
      {line("M-SEARCH /x HTTP/1.1"), "M-SEARCH /x @a 1.1 keep |Host:a end more"},
      {line("HEAD /x HTTP/1.0"), "HEAD /x @a 1.0 close |Host:a end more"},
      {line("GET / HTTP/1.2"), "GET / @a 1.1 keep |Host:a end more"},
      {line("GET / HTTP/1.9"), "GET / @a 1.1 keep |Host:a end more"},
      {line(std::string(32, 'M') + " / HTTP/1.1"),
       std::string(32, 'M') + " / @a 1.1 keep |Host:a end more"},
      {line(std::string(33, 'M') + " / HTTP/1.1"), "error method_too_long"},
      {std::string(100'000, 'M'), "error method_too_long"},
      {"\x16\x03\x01\x02", method},
      {std::string("\0", 1), method},
      {" GET / HTTP/1.1\r\n", method},
      {"\tGET / HTTP/1.1\r\n", method},
      {"G{T / HTTP/1.1\r\n", method},
      {"GET\t/ HTTP/1.1\r\n", method},
      {"GET\r\n", method},
      {"\n", method},
      {"GET:/ HTTP/1.1\r\n", method},
      {"G\xc3\x8bT / HTTP/1.1\r\n", method},
      {"GET  / HTTP/1.1\r\n", "error target"},
      {"GET / HTTP/1.1\n", "error bare_line_feed"},
      {"GET / HTTP/1.1\rH", "error control_byte"},
      {"GET / HTTP/1.1 \r\n", version},
      {"GET /  HTTP/1.1\r\n", version},
      {"GET /\tHTTP/1.1\r\n", "error target"},
      {"GET /a b HTTP/1.1\r\n", version},
      {"GET / http/1.1\r\n", version},
      {"GET / HTTP/1\r\n", version},
      {"GET / HTTP/1.\r\n", version},
      {"GET / HTTP/.1\r\n", version},
      {"GET / HTTP/01.1\r\n", version},
      {"GET / HTTP/1.01\r\n", version},
      {"GET / HTTP/1.10\r\n", version},
      {"GET / HTTP/1,1\r\n", version},
      {"GET / HTTP/ 1.1\r\n", version},
      {"GET / HTTPS/1.1\r\n", version},
      {"GET / ICAP/1.0\r\n", version},
      {"GET / \r\n", version},
      {"GET /\r\n", "error target"},
      {"GET\n", method},
      {"GET / HTTP/0.9\r\n", unsupported},
      {"GET / HTTP/2.0\r\n", unsupported},
      {"GET / HTTP/9.9\r\n", unsupported},
      {"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", unsupported},
      {"\r\n\r\n" + get(""), "GET / @a 1.1 keep |Host:a end more"},
      {repeat("\r\n", 8), "more"},
      {repeat("\r\n", 8) + get(""), "GET / @a 1.1 keep |Host:a end more"},
      {repeat("\r\n", 9), "error empty_lines"},
      {"\r", "more"},
      {"\r\r\n", "error control_byte"},
      {"\rGET / HTTP/1.1\r\n", "error control_byte"},
      {"\r\n\n", method},
      {"\r\n GET / HTTP/1.1\r\n", method},
  };
}

inline std::vector<RequestCase> targetCases() {
  const std::string target = "error target";
  const auto ok = [](std::string_view seen) {
    return std::string("GET ").append(seen).append(" @a 1.1 keep |Host:a end more");
  };
  const std::string longest = "/" + std::string(kRequestTargetBytesMax - 1, 'x');
  return {
      {line("GET /a/b;c=d?e=f&g HTTP/1.1"), ok("/a/b;c=d?e=f&g")},
      {line("GET /? HTTP/1.1"), ok("/")},
      {line("GET /??a?b HTTP/1.1"), ok("/??a?b")},
      {line("GET //host/../%2e%2F%zz HTTP/1.1"), ok("//host/../%2e%2F%zz")},
      {line("GET /!$&'()*+,-._~:@[] HTTP/1.1"), ok("/!$&'()*+,-._~:@[]")},
      {line("GET " + longest + " HTTP/1.1"), ok(longest)},
      {line("GET " + longest + "x HTTP/1.1"), "error target_too_long"},
      {"GET /" + std::string(100'000, 'x'), "error target_too_long"},
      {"GET /" + std::string(16, 'x'), "error target_too_long", kTinyRequest},
      {"GET /" + std::string(15, 'x') + " HTTP/1.1\r\nHost: a\r\n\r\n",
       "GET /xxxxxxxxxxxxxxx @a 1.1 keep |Host:a end more", kTinyRequest},
      {"GET /" + std::string(80, 'x'), "error target_too_long", {.headBytesMax = 64}},
      {line("GET /a#b HTTP/1.1"), target},
      {line("GET /a\"b HTTP/1.1"), target},
      {line("GET /a<b HTTP/1.1"), target},
      {line("GET /a>b HTTP/1.1"), target},
      {line("GET /a\\b HTTP/1.1"), target},
      {line("GET /a^b HTTP/1.1"), target},
      {line("GET /a`b HTTP/1.1"), target},
      {line("GET /{a} HTTP/1.1"), target},
      {line("GET /?a|b HTTP/1.1"), target},
      {line("GET /a\x7f HTTP/1.1"), target},
      {line("GET /caf\xc3\xa9 HTTP/1.1"), target},
      {line("GET /\xc0\xaf HTTP/1.1"), target},
      {line(std::string("GET /\0 HTTP/1.1", 15)), target},
      {"GET /a\r\n", target},
      {"GET /a\rb HTTP/1.1\r\n", target},
      {"GET /a\n", target},
      {line("GET a HTTP/1.1"), target},
      {line("GET ?a HTTP/1.1"), target},
      {line("GET HTTP/1.1"), target},
      {line("GET * HTTP/1.1"), target},
      {line("OPTIONS ** HTTP/1.1"), target},
      {line("OPTIONS *?a HTTP/1.1"), target},
      {line("OPTIONS /*/x HTTP/1.1"), "OPTIONS /*/x @a 1.1 keep |Host:a end more"},
      {line("OPTIONS * HTTP/1.1"), "OPTIONS * @a 1.1 keep |Host:a end more"},
      {line("CONNECT b:443 HTTP/1.1"), "error connect"},
      {line("CONNECT / HTTP/1.1"), "error connect"},
      {line("GET b:443 HTTP/1.1"), target},
      {line("GET b.example HTTP/1.1"), target},
      {line("GET http://b/c?d HTTP/1.1"), "GET /c?d @b 1.1 keep |Host:a end more"},
      {line("GET HTTPS://B:8/ HTTP/1.1"), "GET / @B:8 1.1 keep |Host:a end more"},
      {line("GET http://b HTTP/1.1"), "GET / @b 1.1 keep |Host:a end more"},
      {line("GET http://b: HTTP/1.1"), "GET / @b: 1.1 keep |Host:a end more"},
      {line("GET http://b?c/d HTTP/1.1"), "GET /?c/d @b 1.1 keep |Host:a end more"},
      {line("GET http://[::1]:8/x HTTP/1.0"), "GET /x @[::1]:8 1.0 close |Host:a end more"},
      {line("OPTIONS http://b HTTP/1.1"), "OPTIONS * @b 1.1 keep |Host:a end more"},
      {line("OPTIONS http://b/ HTTP/1.1"), "OPTIONS / @b 1.1 keep |Host:a end more"},
      {line("OPTIONS http://b?c HTTP/1.1"), "OPTIONS /?c @b 1.1 keep |Host:a end more"},
      {line("GET http:// HTTP/1.1"), target},
      {line("GET http:///x HTTP/1.1"), target},
      {line("GET http:/b/x HTTP/1.1"), target},
      {line("GET http:b HTTP/1.1"), target},
      {line("GET http://u@b/ HTTP/1.1"), target},
      {line("GET http://u:p@b/ HTTP/1.1"), target},
      {line("GET http://b,c/ HTTP/1.1"), target},
      {line("GET http://b:99999/ HTTP/1.1"), target},
      {line("GET ftp://b/ HTTP/1.1"), target},
      {line("GET javascript:x HTTP/1.1"), target},
      {line("GET httpx://b/ HTTP/1.1"), target},
      {"GET http://b/ HTTP/1.1\r\n\r\n", "error host_missing"},
      {"GET http://b/ HTTP/1.1\r\nHost: @\r\n\r\n", "error host"},
  };
}

inline std::vector<RequestCase> hostCases() {
  const auto ok = [](std::string_view value) {
    const std::string text(value);
    return RequestCase{host(text), "GET / @" + text + " 1.1 keep |Host:" + text + " end more"};
  };
  const auto refused = [](std::string_view value) {
    return RequestCase{host(value), "error host"};
  };
  return {
      ok("a"),
      ok("a:"),
      ok("a:1"),
      ok("a:0"),
      ok("a:65535"),
      ok("a:00080"),
      ok("a.b."),
      ok("a.b.:8"),
      ok("1.2.3.4:80"),
      ok("999.1"),
      ok("A_b-c~d"),
      ok("a!$&'()*+;=b"),
      ok("%41b"),
      ok("[::]"),
      ok("[::1]:"),
      ok("[1:2:3:4:5:6:7:8]"),
      ok("[1::8]:80"),
      ok("[1:2:3:4:5:6:7::]"),
      ok("[::ffff:1.2.3.4]"),
      ok("[1:2:3:4:5:6:1.2.3.4]"),
      ok("[fE80::A]"),
      refused(""),
      refused("."),
      refused(".a"),
      refused("a..b"),
      refused("a.."),
      refused(":80"),
      refused("a:65536"),
      refused("a:99999999999999999999"),
      refused("a:x"),
      refused("a:+1"),
      refused("a:1:2"),
      refused("a b"),
      refused("a\tb"),
      refused("a,b"),
      refused("a, a"),
      refused("a@b"),
      refused("a/b"),
      refused("a?b"),
      refused("a#b"),
      refused("a\\b"),
      refused("a<b"),
      refused("a%"),
      refused("a%4"),
      refused("a%4g"),
      refused("http://a"),
      refused("\xc3\xa9"),
      refused("["),
      refused("[]"),
      refused("[::1"),
      refused("::1"),
      refused("[::1]a"),
      refused("[::1].:8"),
      refused("a[::1]"),
      refused("[:::]"),
      refused("[1::2::3]"),
      refused("[1:2:3:4:5:6:7]"),
      refused("[1:2:3:4:5:6:7:8:9]"),
      refused("[1:2:3:4:5:6:7:8::]"),
      refused("[:1:2:3:4:5:6:7]"),
      refused("[1:2:3:4:5:6:7:]"),
      refused("[12345::]"),
      refused("[::g]"),
      refused("[::1.2.3]"),
      refused("[::1.2.3.256]"),
      refused("[::1.2.3.04]"),
      refused("[1.2.3.4::]"),
      refused("[fe80::1%25eth0]"),
      refused("[v1.a]"),
      {"GET / HTTP/1.1\r\n\r\n", "error host_missing"},
      {"GET / HTTP/1.0\r\n\r\n", "GET / @ 1.0 close end more"},
      {"GET / HTTP/1.0\r\nHost:\r\n\r\n", "error host"},
      {get(kHostField), "error host_duplicate"},
      {get("hOST: b\r\n"), "error host_duplicate"},
      {line("GET / HTTP/1.0", kHostField), "error host_duplicate"},
      {"GET / HTTP/1.1\r\nHOST:\t a \t\r\n\r\n", "GET / @a 1.1 keep |HOST:a end more"},
      {"GET / HTTP/1.1\r\nHost_: a\r\n\r\n", "error host_missing"},
  };
}

inline std::vector<RequestCase> fieldCases() {
  const auto ok = [](std::string_view fields, std::string_view seen) {
    return RequestCase{get(fields),
                       std::string("GET / @a 1.1 keep |Host:a").append(seen).append(" end more")};
  };
  const auto refused = [](std::string_view fields, std::string_view error) {
    return RequestCase{get(fields), std::string("error ").append(error)};
  };
  return {
      ok("A: b\r\nC:d\r\nE:\r\nF: \r\nG:   \r\nH: i \t\r\n", "|A:b|C:d|E:|F:|G:|H:i"),
      ok("A: \t a\tb \xff\x80\xe9 \"c\", \\ \r\n", "|A:a\tb \xff\x80\xe9 \"c\", \\"),
      ok("!#$%&'*+-.^_`|~09azAZ: x\r\n", "|!#$%&'*+-.^_`|~09azAZ:x"),
      ok("Content_Length: 5\r\nTransfer_Encoding: chunked\r\n",
         "|Content_Length:5|Transfer_Encoding:chunked"),
      ok("A:: b\r\n", "|A:: b"),
      ok("A: " + std::string(8'000, 'v') + "\r\n", "|A:" + std::string(8'000, 'v')),
      refused("A : b\r\n", "field_name"),
      refused("Content-Length : 5\r\n", "field_name"),
      refused("Content\tLength: 5\r\n", "field_name"),
      refused(": y\r\n", "field_name"),
      refused(":\r\n", "field_name"),
      refused("NoColon\r\n", "field_name"),
      refused("No Colon\r\n", "field_name"),
      refused("A[: b\r\n", "field_name"),
      refused("A(b): c\r\n", "field_name"),
      refused("\"A\": b\r\n", "field_name"),
      refused("A\xe9: b\r\n", "field_name"),
      refused("A\x01: b\r\n", "field_name"),
      refused(std::string("A\0: b\r\n", 7), "field_name"),
      refused("A\x7f: b\r\n", "field_name"),
      refused("A\rB: c\r\n", "field_name"),
      refused("A\nB: c\r\n", "bare_line_feed"),
      refused("\x0b"
              "A: b\r\n",
              "field_name"),
      refused("A: b\r\n c\r\n", "folded_field"),
      refused("A: b\r\n\tc\r\n", "folded_field"),
      refused("A: b\r\n \r\n", "folded_field"),
      refused("Transfer-Encoding:\r\n chunked\r\n", "transfer_encoding"),
      refused("A:\r\n chunked\r\n", "folded_field"),
      {"GET / HTTP/1.1\r\n Host: a\r\n\r\n", "error folded_field"},
      {"GET / HTTP/1.1\r\n \r\nHost: a\r\n\r\n", "error folded_field"},
      refused("A: b\nC: d\r\n", "bare_line_feed"),
      refused("\nA: b\r\n", "bare_line_feed"),
      {"GET / HTTP/1.1\r\nHost: a\r\n\n", "error bare_line_feed"},
      {"GET / HTTP/1.1\r\nHost: a\n\r\n", "error bare_line_feed"},
      {"GET / HTTP/1.1\r\nHost: a\r\n\rX", "error control_byte"},
      refused("A: b\rc\r\n", "control_byte"),
      refused("A: b\r\r\n", "control_byte"),
      refused("A:\rb\r\n", "control_byte"),
      refused(std::string("A: b\0c\r\n", 8), "control_byte"),
      refused("A: 0123456789012345678\x1f\r\n", "control_byte"),
      refused("A: \x7f\r\n", "control_byte"),
      refused("A: \x0b"
              "b\r\n",
              "control_byte"),
      refused("A: b\x0c\r\n", "control_byte"),
      refused("A: \x08\r\n", "control_byte"),
      {get("A: b\r\nC: d\r\n"), "GET / @a 1.1 keep |Host:a|A:b|C:d end more", kTinyRequest},
      {get("A: b\r\nC: d\r\nE: f\r\n"), "error too_many_fields", kTinyRequest},
      {get("A: " + std::string(32, 'x') + "\r\n"),
       "GET / @a 1.1 keep |Host:a|A:" + std::string(32, 'x') + " end more", kTinyRequest},
      {get("A: " + std::string(33, 'x') + "\r\n"), "error head_too_large", kTinyRequest},
      {get("A: " + std::string(35, 'x') + "\n"), "error bare_line_feed", kTinyRequest},
      {get("A: " + std::string(36, 'x') + "\n"), "error head_too_large", kTinyRequest},
      {get("A: " + std::string(90, 'x') + "\n"), "error head_too_large", kTinyRequest},
      {get(repeat("A: b\r\n", 199)),
       "GET / @a 1.1 keep |Host:a" + repeat("|A:b", 199) + " end more"},
      {get(repeat("A: b\r\n", 200)), "error too_many_fields"},
      {get("A: " + std::string(16'352, 'x') + "\r\n"),
       "GET / @a 1.1 keep |Host:a|A:" + std::string(16'352, 'x') + " end more"},
      {get("A: " + std::string(16'353, 'x') + "\r\n"), "error head_too_large"},
  };
}

// Fields that the parser reads itself.
inline std::vector<RequestCase> knownFieldCases() {
  return {
      {get("Connection: close\r\n"), "GET / @a 1.1 close |Host:a|Connection:close end more"},
      {get("connection: foo ,\tCLOSE\r\n"),
       "GET / @a 1.1 close |Host:a|connection:foo ,\tCLOSE end more"},
      {get("Connection: foo\r\nConnection: ,close,\r\n"),
       "GET / @a 1.1 close |Host:a|Connection:foo|Connection:,close, end more"},
      {get("Connection: closed, xclose\r\n"),
       "GET / @a 1.1 keep |Host:a|Connection:closed, xclose end more"},
      {get("Connection: keep-alive, close\r\n"),
       "GET / @a 1.1 close |Host:a|Connection:keep-alive, close end more"},
      {line("GET / HTTP/1.0", "Connection: Keep-Alive\r\n"),
       "GET / @a 1.0 keep |Host:a|Connection:Keep-Alive end more"},
      {line("GET / HTTP/1.0", "Connection: keep-alive\r\nConnection: close\r\n"),
       "GET / @a 1.0 close |Host:a|Connection:keep-alive|Connection:close end more"},
      {get("aUTHORIZATION: Bearer x y \r\n"),
       "GET / @a 1.1 keep auth=Bearer x y |Host:a|aUTHORIZATION:Bearer x y end more"},
      {get("Authorization:\r\n"), "GET / @a 1.1 keep |Host:a|Authorization: end more"},
      {get("Authorization: a\r\nAuthorization: a\r\n"), "error authorization_duplicate"},
      {get("Authorization:\r\nauthorization: a\r\n"), "error authorization_duplicate"},
      {get("X-Request-ID: 1-2\r\n"), "GET / @a 1.1 keep id=1-2 |Host:a|X-Request-ID:1-2 end more"},
      {get("x-request-id: 1\r\nx-request-id: 2\r\n"),
       "GET / @a 1.1 keep |Host:a|x-request-id:1|x-request-id:2 end more"},
      {get("x-request-id: 1\r\nx-request-id:\r\nx-request-id: 3\r\n"),
       "GET / @a 1.1 keep |Host:a|x-request-id:1|x-request-id:|x-request-id:3 end more"},
      {post("Expect: 100-Continue\r\nContent-Length: 1\r\n", "x"),
       "POST /p @a 1.1 length=1 keep continue |Host:a|Expect:100-Continue|Content-Length:1 "
       "body[x] end more"},
      {post("Transfer-Encoding: chunked\r\nexpect:100-continue\r\n", "0\r\n\r\n"),
       "POST /p @a 1.1 chunked keep continue |Host:a|Transfer-Encoding:chunked"
       "|expect:100-continue end more"},
      {post("Expect: 100-continue\r\nContent-Length: 0\r\n"),
       "POST /p @a 1.1 keep |Host:a|Expect:100-continue|Content-Length:0 end more"},
      {line("POST /p HTTP/1.0", "Expect: 100-continue\r\nContent-Length: 1\r\n") + "x",
       "POST /p @a 1.0 length=1 close |Host:a|Expect:100-continue|Content-Length:1 "
       "body[x] end more"},
      {line("GET / HTTP/1.0", "Expect: foo\r\n"), "GET / @a 1.0 close |Host:a|Expect:foo end more"},
      {get("Expect: 200-ok\r\n"), "error expectation"},
      {get("Expect:\r\n"), "error expectation"},
      {get("Expect: 100-continue, foo\r\n"), "error expectation"},
      {get("Expect: 100-continue\r\nExpect: foo\r\n"), "error expectation"},
      {get("Upgrade: h2c\r\nHTTP2-Settings: x\r\nTE: trailers\r\n"),
       "GET / @a 1.1 keep |Host:a|Upgrade:h2c|HTTP2-Settings:x|TE:trailers end more"},
  };
}

}  // namespace pointsman::test
