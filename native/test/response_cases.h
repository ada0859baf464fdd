// Answers of replicas, good and bad, each with what the parser has to report.
//
// The record's form is that of ResponseDriver. The stream ends behind the bytes unless the options
// say otherwise.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "test/response_driver.h"

namespace pointsman::test {

struct Case {
  std::string bytes;
  std::string expected;
  DriveOptions options = {};
};

inline constexpr DriveOptions kHeadRequest = {.isHeadRequest = true};
inline constexpr DriveOptions kStreamOpen = {.endsStream = false};
inline constexpr DriveOptions kTinyHead = {.headBytesMax = 64};

inline std::string ok(std::string_view fields, std::string_view body = "") {
  return std::string("HTTP/1.1 200 OK\r\n").append(fields).append("\r\n").append(body);
}

inline std::string repeat(std::string_view text, size_t times) {
  std::string all;
  for (size_t i = 0; i < times; ++i) all.append(text);
  return all;
}

inline const std::string kChunkedHead = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
inline const std::string kChunkedRecord = "head 200 1.1 [OK] chunked|Transfer-Encoding:chunked ";

inline std::vector<Case> framingCases() {
  return {
      {ok("Content-Length: 5\r\n", "hello"),
       "head 200 1.1 [OK] length=5|Content-Length:5 body[hello] end reusable"},
      {ok("content-LENGTH:\t 0005 \t\r\n", "hello"),
       "head 200 1.1 [OK] length=5|content-LENGTH:0005 body[hello] end reusable"},
      {ok("Content-Length: 0\r\n"), "head 200 1.1 [OK] length=0|Content-Length:0 end reusable",
       kStreamOpen},
      {ok("Content-Length: 2\r\nConnection: close\r\n", "ok"),
       "head 200 1.1 [OK] length=2|Content-Length:2|Connection:close body[ok] end", kStreamOpen},
      {ok("Content-Length: 0\r\nConnection: foo, CLOSE\r\n"),
       "head 200 1.1 [OK] length=0|Content-Length:0|Connection:foo, CLOSE end", kStreamOpen},
      {ok("", "until the end"), "head 200 1.1 [OK] eof body[until the end] end"},
      {ok("", "still open"), "head 200 1.1 [OK] eof body[still open] more", kStreamOpen},
      {ok(""), "head 200 1.1 [OK] eof end"},
      {"HTTP/1.0 200 OK\r\n\r\nold", "head 200 1.0 [OK] eof body[old] end"},
      {"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok",
       "head 200 1.0 [OK] length=2|Content-Length:2 body[ok] end", kStreamOpen},
      {"HTTP/1.0 200 OK\r\nContent-Length: 2\r\nConnection: Keep-Alive\r\n\r\nok",
       "head 200 1.0 [OK] length=2|Content-Length:2|Connection:Keep-Alive body[ok] end reusable",
       kStreamOpen},
      {"HTTP/1.1 204 \r\n\r\n", "head 204 1.1 [] none end reusable", kStreamOpen},
      {"HTTP/1.1 204\r\n\r\n", "head 204 1.1 [] none end reusable", kStreamOpen},
      {"HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n",
       "head 304 1.1 [Not Modified] none=9|Content-Length:9 end reusable", kStreamOpen},
      {"HTTP/1.1 204 No\r\nContent-Length: 9\r\n\r\n",
       "head 204 1.1 [No] none=9|Content-Length:9 end", kStreamOpen},
      {"HTTP/1.1 204 No\r\nTransfer-Encoding: chunked\r\n\r\n",
       "head 204 1.1 [No] none|Transfer-Encoding:chunked end", kStreamOpen},
      {"HTTP/1.1 304 No\r\n\r\nbody", "head 304 1.1 [No] none end", kStreamOpen},
      {ok("Content-Length: 1234\r\n"),
       "head 200 1.1 [OK] none=1234|Content-Length:1234 end reusable",
       {.isHeadRequest = true, .endsStream = false}},
      {ok("Transfer-Encoding: chunked\r\n"),
       "head 200 1.1 [OK] none|Transfer-Encoding:chunked end",
       {.isHeadRequest = true, .endsStream = false}},
      {"HTTP/1.1 304 No\r\nTransfer-Encoding: chunked\r\n\r\n",
       "head 304 1.1 [No] none|Transfer-Encoding:chunked end", kStreamOpen},
      {ok(""), "head 200 1.1 [OK] none end reusable", kHeadRequest},
      {ok("Content-Length: 2\r\n", "okEXTRA"),
       "head 200 1.1 [OK] length=2|Content-Length:2 body[ok] end", kStreamOpen},
  };
}

inline std::vector<Case> chunkedCases() {
  return {
      {kChunkedHead + "5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n",
       kChunkedRecord + "body[hello world] end reusable", kStreamOpen},
      {kChunkedHead + "0\r\n\r\n", kChunkedRecord + "end reusable", kStreamOpen},
      {kChunkedHead + "000A;name=\"v;\";x\r\n0123456789\r\n0;last\r\n\r\n",
       kChunkedRecord + "body[0123456789] end reusable", kStreamOpen},
      {kChunkedHead + "a \t;x\r\n0123456789\r\n00\r\n\r\n",
       kChunkedRecord + "body[0123456789] end reusable", kStreamOpen},
      {kChunkedHead + "1 ; a = b\t;c=\"\\\"; \xe9\" ;d\r\nx\r\n0\r\n\r\n",
       kChunkedRecord + "body[x] end reusable", kStreamOpen},
      {kChunkedHead + "1\r\nx\r\n0\r\nContent-Length: 7\r\nEtag:\r\n\r\n",
       kChunkedRecord + "body[x] end reusable", kStreamOpen},
      {kChunkedHead + "1\r\nx\r\n0\r\n\r\nHTTP/1.1 200 OK\r\n\r\n", kChunkedRecord + "body[x] end",
       kStreamOpen},
      {"HTTP/1.1 200 OK\r\ntransfer-encoding: CHUNKED\r\n\r\n0\r\n\r\n",
       "head 200 1.1 [OK] chunked|transfer-encoding:CHUNKED end reusable", kStreamOpen},
  };
}

inline std::vector<Case> refusedChunkCases() {
  return {
      {kChunkedHead + "5 \r\nhello\r\n", kChunkedRecord + "error chunk"},
      {kChunkedHead + "5;\r\nhello\r\n", kChunkedRecord + "error chunk"},
      {kChunkedHead + "5;;a\r\nhello\r\n", kChunkedRecord + "error chunk"},
      {kChunkedHead + "5;a \r\nhello\r\n", kChunkedRecord + "error chunk"},
      {kChunkedHead + "5;a b\r\nhello\r\n", kChunkedRecord + "error chunk"},
      {kChunkedHead + "5;a=\r\nhello\r\n", kChunkedRecord + "error chunk"},
      {kChunkedHead + "5;a=b=c\r\nhello\r\n", kChunkedRecord + "error chunk"},
      {kChunkedHead + "5;=b\r\nhello\r\n", kChunkedRecord + "error chunk"},
      {kChunkedHead + "5=a\r\nhello\r\n", kChunkedRecord + "error chunk"},
      {kChunkedHead + "5;a=\"b\r\nhello\r\n", kChunkedRecord + "error chunk"},
      {kChunkedHead + "5;a=\"b\\\r\nhello\r\n", kChunkedRecord + "error chunk"},
      {kChunkedHead + "5;a=\"b\"c\r\nhello\r\n", kChunkedRecord + "error chunk"},
      {kChunkedHead + "5;a@b\r\nhello\r\n", kChunkedRecord + "error chunk"},
      {kChunkedHead + "g\r\n", kChunkedRecord + "error chunk"},
      {kChunkedHead + "\r\n", kChunkedRecord + "error chunk"},
      {kChunkedHead + " 5\r\nhello", kChunkedRecord + "error chunk"},
      {kChunkedHead + "+5\r\nhello", kChunkedRecord + "error chunk"},
      {kChunkedHead + "0x5\r\nhello", kChunkedRecord + "error chunk"},
      {kChunkedHead + "-1\r\n", kChunkedRecord + "error chunk"},
      {kChunkedHead + "5\nhello\r\n", kChunkedRecord + "error chunk"},
      {kChunkedHead + "5\rhello\r\n", kChunkedRecord + "error chunk"},
      {kChunkedHead + "5;a\nhello\r\n", kChunkedRecord + "error chunk"},
      {kChunkedHead + std::string("5;a\0b\r\nhello\r\n", 14), kChunkedRecord + "error chunk"},
      {kChunkedHead + "5\r\nhelloXX0\r\n\r\n", kChunkedRecord + "body[hello] error chunk"},
      {kChunkedHead + "5\r\nhelloX\n0\r\n\r\n", kChunkedRecord + "body[hello] error chunk"},
      {kChunkedHead + "5\r\nhello\r0\r\n\r\n", kChunkedRecord + "body[hello] error chunk"},
      {kChunkedHead + "5\r\nhello\n0\r\n\r\n", kChunkedRecord + "body[hello] error chunk"},
      {kChunkedHead + "0\r\nXXGET / HTTP/1.1\r\n\r\n", kChunkedRecord + "error trailer"},
      {kChunkedHead + "0\r\n: x\r\n\r\n", kChunkedRecord + "error trailer"},
      {kChunkedHead + "0\r\n a: b\r\n\r\n", kChunkedRecord + "error trailer"},
      {kChunkedHead + "0\r\na : b\r\n\r\n", kChunkedRecord + "error trailer"},
      {kChunkedHead + "0\r\na: b\n\r\n", kChunkedRecord + "error trailer"},
      {kChunkedHead + "0\r\na: b\rc\r\n\r\n", kChunkedRecord + "error trailer"},
      {kChunkedHead + "0\r\n\rx", kChunkedRecord + "error trailer"},
      {kChunkedHead + "4000000000000000\r\nab", kChunkedRecord + "body[ab] error eof_in_body"},
      {kChunkedHead + "4000000000000001\r\nab", kChunkedRecord + "error chunk"},
      {kChunkedHead + "10000000000000001\r\na", kChunkedRecord + "error chunk"},
      {kChunkedHead + "ffffffffffffffffffff\r\na", kChunkedRecord + "error chunk"},
      {kChunkedHead + "1;" + std::string(4'095, 'e') + "\r\nx\r\n0\r\n\r\n",
       kChunkedRecord + "error chunk_line_too_large"},
      {kChunkedHead + "1;" + std::string(4'094, 'e') + "\r\nx\r\n0\r\n\r\n",
       kChunkedRecord + "body[x] end reusable", kStreamOpen},
      {kChunkedHead + std::string(4'098, '0') + "\r\n\r\n",
       kChunkedRecord + "error chunk_line_too_large"},
      {kChunkedHead + "0\r\n" + repeat("a: b\r\n", 11'000) + "\r\n",
       kChunkedRecord + "error trailers_too_large"},
      {kChunkedHead + "ff\r\nunfinished\r\n",
       kChunkedRecord + "body[unfinished\r\n] error eof_in_body"},
      {kChunkedHead + "1\r\nx\r\n0\r\n", kChunkedRecord + "body[x] error eof_in_body"},
      {kChunkedHead, kChunkedRecord + "error eof_in_body"},
  };
}

inline std::vector<Case> refusedFramingCases() {
  const std::string conflict = "error conflicting_framing";
  const std::string length = "error content_length";
  const std::string coding = "error transfer_encoding";
  return {
      {ok("Content-Length: foo\r\n"), length},
      {ok("Content-Length: \r\n"), length},
      {ok("Content-Length: -1\r\n"), length},
      {ok("Content-Length: +5\r\n"), length},
      {ok("Content-Length: 5,5\r\n"), length},
      {ok("Content-Length: 5 5\r\n"), length},
      {ok("Content-Length: 0x5\r\n"), length},
      {ok("Content-Length: 1e1\r\n"), length},
      {ok("Content-Length: 0\r\nContent-Length: 0\r\n"), length},
      {ok("Content-Length: 5\r\nContent-Length: 10\r\n", "hello"), length},
      {ok("Content-Length: 4611686018427387905\r\n"), length},
      {ok("Content-Length: 99999999999999999999\r\n"), length},
      {ok("Content-Length: 18446744073709551621\r\n"), length},
      {ok("Content-Length: 4611686018427387904\r\n"),
       "head 200 1.1 [OK] length=4611686018427387904|Content-Length:4611686018427387904 "
       "error eof_in_body"},
      {ok("Transfer-Encoding: foo\r\n"), coding},
      {ok("Transfer-Encoding: \r\n"), coding},
      {ok("Transfer-Encoding: identity\r\n"), coding},
      {ok("Transfer-Encoding: gzip, chunked\r\n"), coding},
      {ok("Transfer-Encoding: chunked, chunked\r\n"), coding},
      {ok("Transfer-Encoding: chunked;q=1\r\n"), coding},
      {ok("Transfer-Encoding: \"chunked\"\r\n"), coding},
      {ok("Transfer-Encoding: xchunked\r\n"), coding},
      {ok("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n"), coding},
      {"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", coding},
      {ok("Content-Length: 0\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n"), conflict},
      {ok("Transfer-Encoding: chunked\r\nContent-Length: 0\r\n", "0\r\n\r\n"), conflict},
      {ok("Content-Length: 1\r\nTransfer-Encoding: gzip\r\n"), conflict},
      {ok("Content-Length: foo\r\n"), length, kHeadRequest},
      {"HTTP/1.1 304 x\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n", length},
      {"HTTP/1.1 103 x\r\nContent-Length: x\r\n\r\n" + ok("Content-Length: 0\r\n"), length},
  };
}

inline std::vector<Case> statusLineCases() {
  return {
      {"", "error eof_before_start"},
      {"H", "error eof_in_head"},
      {"HTTP/1.1 200 OK\r\nContent-Le", "error eof_in_head"},
      {"HTTP/1.1 200 OK\r\nA: b\r\n\r", "error eof_in_head"},
      {"HTTP/1.1 200 OK\r\nA: b\r\n", "more", kStreamOpen},
      {"garbage", "error status_line", kStreamOpen},
      {"HTT\n", "error status_line", kStreamOpen},
      {"\r\nHTTP/1.1 200 OK\r\n\r\n", "error status_line"},
      {" HTTP/1.1 200 OK\r\n\r\n", "error status_line"},
      {"http/1.1 200 OK\r\n\r\n", "error status_line"},
      {"HTTP/2.0 200 OK\r\n\r\n", "error status_line"},
      {"HTTP/1.2 200 OK\r\n\r\n", "error status_line"},
      {"HTTP/1.10 200 OK\r\n\r\n", "error status_line"},
      {"HTTP/1.1\r\n\r\n", "error status_line"},
      {"HTTP/1.1  200 OK\r\n\r\n", "error status_line"},
      {"HTTP/1.1 20 OK\r\n\r\n", "error status_line"},
      {"HTTP/1.1 2000 OK\r\n\r\n", "error status_line"},
      {"HTTP/1.1 2x0 OK\r\n\r\n", "error status_line"},
      {"HTTP/1.1 099 OK\r\n\r\n", "error status_line"},
      {"HTTP/1.1 600 OK\r\n\r\n", "error status_line"},
      {"HTTP/1.1 200OK\r\n\r\n", "error status_line"},
      {"HTTP/1.1 200 O\x01K\r\n\r\n", "error control_byte"},
      {"HTTP/1.1 200 O\rK\r\n\r\n", "error control_byte"},
      {"HTTP/1.1 200 OK\nA: b\n\n", "error bare_line_feed"},
      {"HTTP/1.1 200 caf\xe9 \t!\r\nContent-Length: 0\r\n\r\n",
       "head 200 1.1 [caf\xe9 \t!] length=0|Content-Length:0 end reusable", kStreamOpen},
  };
}

inline std::vector<Case> fieldCases() {
  return {
      {ok("A: b\n"), "error bare_line_feed"},
      {"HTTP/1.1 200 OK\r\nA: b\r\n\n", "error bare_line_feed"},
      {ok("A: b\rc\r\n"), "error control_byte"},
      {ok("A: b\r\r\n"), "error control_byte"},
      {ok(std::string("A: b\0c\r\n", 8)), "error control_byte"},
      {ok("A: 0123456789012345\x7f\r\n"), "error control_byte"},
      {ok("A: 0123456\x1f"
          "89012345\r\n"),
       "error control_byte"},
      {ok("A: \t tab\tinside the value, and \xff\x80 bytes \t\r\nContent-Length: 0\r\n"),
       "head 200 1.1 [OK] length=0|A:tab\tinside the value, and \xff\x80 bytes|Content-Length:0 "
       "end "
       "reusable",
       kStreamOpen},
      {ok("A:\r\nB:   \r\nContent-Length: 0\r\n"),
       "head 200 1.1 [OK] length=0|A:|B:|Content-Length:0 end reusable", kStreamOpen},
      {ok("A: b\r\n c\r\n"), "error folded_field"},
      {ok("A: b\r\n\tc\r\n"), "error folded_field"},
      {ok(" A: b\r\n"), "error folded_field"},
      {ok("A : b\r\n"), "error field_name"},
      {ok("Content-Length : 5\r\n", "hello"), "error field_name"},
      {ok(": y\r\nContent-Length: 0\r\n"), "error field_name"},
      {ok("no colon\r\n"), "error field_name"},
      {ok("nocolon\r\n"), "error field_name"},
      {ok("A(: b\r\n"), "error field_name"},
      {ok("A\xe9: b\r\n"), "error field_name"},
      {ok(repeat("A: b\r\n", 255) + "Content-Length: 0\r\n"),
       "head 200 1.1 [OK] length=0" + repeat("|A:b", 255) + "|Content-Length:0 end reusable",
       kStreamOpen},
      // The buffer of a head in pieces grows twice here, with fields found before.
      {ok("A: " + std::string(3'000, 'a') + "\r\nB: " + std::string(3'000, 'b') +
          "\r\nContent-Length: 0\r\n"),
       "head 200 1.1 [OK] length=0|A:" + std::string(3'000, 'a') + "|B:" + std::string(3'000, 'b') +
           "|Content-Length:0 end reusable",
       kStreamOpen},
      {ok(repeat("A: b\r\n", 256) + "Content-Length: 0\r\n"), "error too_many_fields"},
  };
}

// A head of exactly the bound passes and one byte more does not, wherever the lines end.
inline std::vector<Case> headBoundCases() {
  const std::string start = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nA: ";
  const std::string fits = start + std::string(64 - start.size() - 4, 'x') + "\r\n\r\n";
  const std::string tooLong = start + std::string(64 - start.size() - 3, 'x') + "\r\n\r\n";
  const std::string record = std::string("head 200 1.1 [OK] length=0|Content-Length:0|A:")
                                 .append(64 - start.size() - 4, 'x')
                                 .append(" end reusable");
  const DriveOptions tinyOpen = {.endsStream = false, .headBytesMax = 64};
  return {
      {fits, record, tinyOpen},
      {tooLong, "error head_too_large", tinyOpen},
      {"HTTP/1.1 200 " + std::string(200, 'x'), "error head_too_large", tinyOpen},
      {"HTT" + std::string(200, 'x'), "error status_line", tinyOpen},
      {"HTTP/1.1 103 Early Hints\r\nLink: a\r\n\r\n" + fits, record, tinyOpen},
      {start + std::string(60, 'x'), "error head_too_large", kTinyHead},
      {"HTTP/1.1 200 OK\r\nA: " + std::string(70'000, 'x'), "error head_too_large"},
  };
}

inline std::vector<Case> interimCases() {
  const std::string interim = "HTTP/1.1 100 Continue\r\n\r\n";
  const std::string last = ok("Content-Length: 2\r\n", "ok");
  const std::string record = "head 200 1.1 [OK] length=2|Content-Length:2 body[ok] end";
  return {
      {interim + last, record + " reusable", kStreamOpen},
      {"HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\n\r\n" + last,
       record + " reusable", kStreamOpen},
      {repeat(interim, 16) + last, record + " reusable", kStreamOpen},
      {repeat(interim, 17) + last, "error too_many_interim", kStreamOpen},
      {"HTTP/1.1 102 x\r\nConnection: close\r\n\r\n" + last, record, kStreamOpen},
      {"HTTP/1.1 103 x\r\nContent-Length: 7\r\n\r\n" + last, record, kStreamOpen},
      {"HTTP/1.1 103 x\r\nTransfer-Encoding: chunked\r\n\r\n" + last, record, kStreamOpen},
      {"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\nraw",
       "error unexpected_upgrade"},
      {interim, "error eof_in_head"},
      {interim, "more", kStreamOpen},
      {interim + "garbage", "error status_line"},
  };
}

// The bytes of nginx's tests for misbehaving replicas (see the README of the test vectors), less
// those above.
inline std::vector<Case> misbehaviourCases() {
  const std::string closing = "Connection: close\r\nTransfer-Encoding: chunked\r\n";
  const std::string x = std::string(128, 'x') + "\r\n";
  const std::string y = std::string(117, 'y') + "\r\n";
  const std::string z = std::string(117, 'z') + "\r\n";
  return {
      {ok("Content-Type: text/html\r\nContent-Length: 8\r\n", "SEE-THIS-BUT-NOT-THIS\n"),
       "head 200 1.1 [OK] length=8|Content-Type:text/html|Content-Length:8 body[SEE-THIS] end"},
      {ok("Content-Type: text/html\r\nContent-Length: 0\r\n", "NOT-THIS\n"),
       "head 200 1.1 [OK] length=0|Content-Type:text/html|Content-Length:0 end"},
      {ok("Content-Length: 100\r\n", "SEE-THIS-TOO-SHORT-RESPONSE\n"),
       "head 200 1.1 [OK] length=100|Content-Length:100 body[SEE-THIS-TOO-SHORT-RESPONSE\n] error "
       "eof_in_body"},
      {ok("Content-Length: 100\r\n"),
       "head 200 1.1 [OK] length=100|Content-Length:100 error eof_in_body"},
      {ok(closing, "80\r\n" + x + "75\r\n" + y + "0\r\n\r\n75\r\n" + z + "0\r\n\r\n"),
       "head 200 1.1 [OK] chunked|Connection:close|Transfer-Encoding:chunked body[" +
           std::string(128, 'x') + std::string(117, 'y') + "] end"},
      {ok("Connection: Upgrade\r\nUpgrade: websocket\r\nContent-Length: 0\r\n"),
       "head 200 1.1 [OK] length=0|Connection:Upgrade|Upgrade:websocket|Content-Length:0 end "
       "reusable",
       kStreamOpen},
  };
}

inline std::vector<Case> allCases() {
  std::vector<Case> all;
  for (const auto& group :
       {framingCases(), chunkedCases(), refusedChunkCases(), refusedFramingCases(),
        statusLineCases(), fieldCases(), headBoundCases(), interimCases(), misbehaviourCases()}) {
    all.insert(all.end(), group.begin(), group.end());
  }
  return all;
}

}  // namespace pointsman::test
