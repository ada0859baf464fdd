#include "http1/header_rules.h"

#include <string>
#include <vector>

#include "test/check.h"

namespace pointsman {
namespace {

// What passes of a request's fields, or "refused".
std::string forwardRequest(std::string_view rawFields) {
  const std::string start = "POST / HTTP/1.1\r\n";
  ByteBuffer buffer;
  buffer.append(start);
  size_t hops = 0;
  const bool isDone = appendForwardedRequestFields(rawFields, buffer, hops);
  const std::string out(buffer);
  if (!isDone) return out == start ? "refused" : "dirty";
  CHECK(out.starts_with(start));
  return out.substr(start.size());
}

std::string forwardResponse(const std::vector<HeaderField>& fields) {
  ByteBuffer out;
  out.append("X");
  if (!appendForwardedResponseFields(fields, out)) {
    return std::string_view(out) == "X" ? "refused" : "dirty";
  }
  return std::string(out).substr(1);
}

std::string listOfOptions(size_t count) {
  std::string list;
  for (size_t i = 0; i < count; ++i) list += (i == 0 ? "x" : ", x") + std::to_string(i);
  return list;
}

void testEndToEndRequestFieldsPass() {
  const std::string fields =
      "content-type: application/json\r\naccept: */*\r\naccept-encoding: gzip\r\nuser-agent: a "
      "b\r\n"
      "traceparent: 00-1-2-01\r\nvia: 1.1 front\r\nx-custom: \tv \r\nempty:\r\nx-real: 1\r\n";
  CHECK_EQUAL(forwardRequest(fields),
              "content-type: application/json\r\naccept: */*\r\naccept-encoding: gzip\r\n"
              "user-agent: a b\r\ntraceparent: 00-1-2-01\r\nvia: 1.1 front\r\nx-custom: v\r\n"
              "empty: \r\nx-real: 1\r\n");
  CHECK_EQUAL(forwardRequest(""), "");
}

size_t hopsOf(std::string_view rawFields) {
  ByteBuffer buffer;
  size_t hops = 99;
  CHECK(appendForwardedRequestFields(rawFields, buffer, hops));
  return hops;
}

void testPointsmansInViaAreCounted() {
  CHECK_EQUAL(hopsOf("accept: */*\r\n"), 0U);
  CHECK_EQUAL(hopsOf("via: 1.1 pointsman\r\n"), 1U);
  CHECK_EQUAL(hopsOf("VIA: 1.0 front, HTTP/1.1 \t Pointsman (Debian, 12),1.1 pointsman\r\n"
                     "accept: */*\r\nvia:1.1 pointsman\r\n"),
              3U);
  CHECK_EQUAL(hopsOf("via: 1.1 pointsman-2, pointsman, 1.1 a (pointsman), 1.1 xpointsman, ,\r\n"
                     "x-via: 1.1 pointsman\r\nvia:\r\n"),
              0U);
  CHECK_EQUAL(hopsOf("via: 1.1 pointsman\r\nconnection: via, x-a\r\nvia: 1.1 pointsman\r\n"), 2U);
}

void testRequestFieldsThatStay() {
  for (const char* name : {"Connection",
                           "Keep-Alive",
                           "Proxy-Connection",
                           "TE",
                           "Trailer",
                           "Transfer-Encoding",
                           "Upgrade",
                           "HTTP2-Settings",
                           "Host",
                           "Content-Length",
                           "Expect",
                           "Authorization",
                           "Proxy-Authorization",
                           "Cookie",
                           "X-Forwarded-For",
                           "X-Forwarded-Proto",
                           "X-Forwarded-Host",
                           "X-Forwarded-Port",
                           "X-Forwarded-User",
                           "Forwarded",
                           "X-Real-IP",
                           "X-Request-Id",
                           "x-databricks-request-id",
                           "X-Databricks-Org-Id",
                           "X-Pointsman-Principal",
                           "X_Forwarded_For",
                           "Content_Length",
                           "a_b"}) {
    std::string upper = name;
    std::string lower = name;
    for (char& c : upper) c = c >= 'a' && c <= 'z' ? static_cast<char>(c - 32) : c;
    for (char& c : lower) c = toLower(c);
    for (const std::string& spelling : {std::string(name), upper, lower}) {
      const std::string passed = forwardRequest("a: 1\r\n" + spelling + ": v\r\nb: 2\r\n");
      if (!CHECK_EQUAL(passed, "a: 1\r\nb: 2\r\n")) std::cerr << "  field: " << spelling << '\n';
    }
  }
}

void testConnectionNamesRequestFields() {
  CHECK_EQUAL(forwardRequest("X-A: 1\r\nConnection: x-a, authorization\r\nB: 2\r\nx-a: 3\r\n"),
              "B: 2\r\n");
  CHECK_EQUAL(
      forwardRequest("connection: ,X-A,,\r\nX-B: 1\r\nConnection: close , x-b\r\nx-a: 2\r\n"), "");
  CHECK_EQUAL(forwardRequest("Connection: content-type\r\nContent-Type: t\r\nA: 1\r\n"),
              "A: 1\r\n");
  CHECK_EQUAL(forwardRequest("Connection: close, keep-alive, TE\r\nclosed: 1\r\n"),
              "closed: 1\r\n");
}

void testMalformedRequestFieldsAreRefused() {
  for (const char* fields :
       {"a: 1", "a: 1\n", "a: 1\r\nb 2\r\n", "a: 1\r\n: y\r\n", "a : 1\r\n", " a: 1\r\n",
        "a: 1\r\n folded\r\n", "a: 1\nb: 2\r\n", "a: 1\rb: 2\r\n", "a: \x01\r\n", "a: \x7f\r\n",
        "a(b): 1\r\n", "\r\n", "a: 1\r\n\r\nb: 2\r\n"}) {
    if (!CHECK_EQUAL(forwardRequest(fields), "refused"))
      std::cerr << "  fields: " << fields << '\n';
  }
  CHECK_EQUAL(forwardRequest(std::string("a: \0\r\n", 6)), "refused");
}

void testOptionsAreBounded() {
  const std::string most = listOfOptions(ConnectionOptions::kCountMax);
  const std::string tooMany = listOfOptions(ConnectionOptions::kCountMax + 1);
  CHECK_EQUAL(forwardRequest("Connection: " + most + "\r\nx31: 1\r\nx32: 1\r\n"), "x32: 1\r\n");
  CHECK_EQUAL(forwardRequest("a: 1\r\nConnection: " + tooMany + "\r\n"), "refused");
  CHECK_EQUAL(forwardResponse({{"A", "1"}, {"Connection", tooMany}}), "refused");
  CHECK_EQUAL(forwardResponse({{"x0", "1"}, {"Connection", most}, {"A", "1"}}), "A: 1\r\n");
}

void testResponseFields() {
  CHECK_EQUAL(forwardResponse({{"Content-Type", "text/plain"},
                               {"Date", "now"},
                               {"Server", "uvicorn"},
                               {"Set-Cookie", "a=b"},
                               {"Set-Cookie", "c=d"},
                               {"served-model", "x"},
                               {"x-request-idx", "x"},
                               {"under_score", "1"}}),
              "Content-Type: text/plain\r\nServer: uvicorn\r\nSet-Cookie: a=b\r\n"
              "Set-Cookie: c=d\r\nserved-model: x\r\nx-request-idx: x\r\nunder_score: 1\r\n");
  for (const char* name :
       {"Connection", "Keep-Alive", "Proxy-Connection", "TE", "Trailer", "Transfer-Encoding",
        "Upgrade", "Content-Length", "Served-Model-Name", "X-Databricks-Request-Id", "X-Request-Id",
        "X-Pointsman-Revision", "X-Pointsman-Error", "Proxy-Authenticate",
        "Proxy-Authentication-Info"}) {
    CHECK(!isForwardedResponseField(name, {}));
    CHECK_EQUAL(forwardResponse({{name, "v"}, {"A", "1"}}), "A: 1\r\n");
  }
  CHECK_EQUAL(forwardResponse({{"X-Hop", "1"}, {"Connection", "close, x-hop"}, {"A", ""}}),
              "A: \r\n");
}

void testValidators() {
  CHECK(isToken("a") && isToken("X-1_~!#$%&'*+.^`|"));
  CHECK(!isToken("") && !isToken("a b") && !isToken("a:") && !isToken("\xe9") && !isToken("a\t"));
  CHECK(isFieldValue("") && isFieldValue("a\tb \xff ~") && isFieldValue("1234567\t 234567\xfe"));
  // A control byte at every place of a word and of the rest behind the last word.
  for (size_t at = 0; at < 21; ++at) {
    for (int byte = 0; byte < 256; ++byte) {
      std::string value(21, 'v');
      value[at] = static_cast<char>(byte);
      const bool isText = byte == '\t' || (byte >= 0x20 && byte != 0x7f);
      CHECK_EQUAL(isFieldValue(value), isText);
    }
  }
  // A tab must not hide a control byte of the same word.
  CHECK(!isFieldValue("\t234567\x01") && !isFieldValue("1\t34567\x7f"));
}

void testListMembers() {
  std::string_view rest = " a ,, b\t,c";
  CHECK_EQUAL(takeListMember(rest), "a");
  CHECK_EQUAL(takeListMember(rest), "");
  CHECK_EQUAL(takeListMember(rest), "b");
  CHECK_EQUAL(takeListMember(rest), "c");
  CHECK(rest.empty());
}

void testWhatJsCannotReadComesInOneField() {
  const auto local = [](std::string_view rawFields) {
    ByteBuffer out;
    out.append("X");
    CHECK(appendLocalRequestFields(rawFields, out));
    return std::string(out).substr(1);
  };
  CHECK_EQUAL(local("A: 1\r\nAuthorization: t\r\nx-pointsman-client: 6\r\n"),
              "A: 1\r\nAuthorization: t\r\n");
  // 0x5f is the underscore; what a client says in our field is dropped.
  CHECK_EQUAL(local("A: 1\r\nB_: 2\r\nX-Pointsman-Fields: 41\r\n"),
              "A: 1\r\nx-pointsman-fields: 413a20310d0a425f3a20320d0a\r\n");
  CHECK_EQUAL(local("A: \xe9\r\n"), "x-pointsman-fields: 413a20e90d0a\r\n");
  CHECK_EQUAL(local("Connection: a.b\r\nA.B: 1\r\nC: 2\r\n"), "C: 2\r\n");
}

}  // namespace
}  // namespace pointsman

int main() {
  pointsman::testEndToEndRequestFieldsPass();
  pointsman::testPointsmansInViaAreCounted();
  pointsman::testRequestFieldsThatStay();
  pointsman::testConnectionNamesRequestFields();
  pointsman::testMalformedRequestFieldsAreRefused();
  pointsman::testOptionsAreBounded();
  pointsman::testResponseFields();
  pointsman::testValidators();
  pointsman::testListMembers();
  pointsman::testWhatJsCannotReadComesInOneField();
  return pointsman::test::finishChecks();
}
