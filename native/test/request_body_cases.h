// Requests with bodies, good and bad, and what may follow them on the connection.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "test/request_cases.h"

namespace pointsman::test {

inline const std::string kChunkedPost = post("Transfer-Encoding: chunked\r\n");
inline const std::string kChunkedSeen =
    "POST /p @a 1.1 chunked keep |Host:a|Transfer-Encoding:chunked ";

inline std::vector<RequestCase> requestFramingCases() {
  const std::string length = "error content_length";
  const std::string coding = "error transfer_encoding";
  const std::string unknown = "error transfer_coding_unknown";
  const std::string conflict = "error conflicting_framing";
  return {
      {post("Content-Length: 5\r\n", "hello"),
       "POST /p @a 1.1 length=5 keep |Host:a|Content-Length:5 body[hello] end more"},
      {post("content-length:\t0005 \r\n", "hello"),
       "POST /p @a 1.1 length=5 keep |Host:a|content-length:0005 body[hello] end more"},
      {post("Content-Length: 0\r\n"), "POST /p @a 1.1 keep |Host:a|Content-Length:0 end more"},
      {post(""), "POST /p @a 1.1 keep |Host:a end more"},
      {post("Content-Length: 5\r\n", "hel"),
       "POST /p @a 1.1 length=5 keep |Host:a|Content-Length:5 body[hel] more started"},
      {line("GET /g HTTP/1.1", "Content-Length: 1\r\n") + "x",
       "GET /g @a 1.1 length=1 keep |Host:a|Content-Length:1 body[x] end more"},
      {line("POST /p HTTP/1.0", "Content-Length: 1\r\n") + "x",
       "POST /p @a 1.0 length=1 close |Host:a|Content-Length:1 body[x] end more"},
      {post("Content-Length: 4611686018427387904\r\n"),
       "POST /p @a 1.1 length=4611686018427387904 keep |Host:a"
       "|Content-Length:4611686018427387904 more started"},
      {post("Content-Length: 4611686018427387905\r\n"), length},
      {post("Content-Length: 9223372036854775808\r\n"), length},
      {post("Content-Length: 18446744073709551621\r\n", "hello"), length},
      {post("Content-Length: 99999999999999999999\r\n"), length},
      {post("Content-Length:\r\n"), length},
      {post("Content-Length: -1\r\n"), length},
      {post("Content-Length: -0\r\n"), length},
      {post("Content-Length: +5\r\n", "hello"), length},
      {post("Content-Length: abc\r\n"), length},
      {post("Content-Length: 5 5\r\n"), length},
      {post("Content-Length: 5,5\r\n"), length},
      {post("Content-Length: 5, 5\r\n"), length},
      {post("Content-Length: 5,10\r\n"), length},
      {post("Content-Length: 0x5\r\n"), length},
      {post("Content-Length: 0o5\r\n"), length},
      {post("Content-Length: 1e1\r\n"), length},
      {post("Content-Length: 5.0\r\n"), length},
      {post("Content-Length: 1_0\r\n"), length},
      {post("Content-Length: \"5\"\r\n"), length},
      {post("Content-Length: \xd9\xa5\r\n"), length},
      {post("Content-Length: 5\r\nContent-Length: 5\r\n", "hello"), length},
      {post("Content-Length: 5\r\nCONTENT-LENGTH: 10\r\n", "hello"), length},
      {post("Content-Length: 0\r\nContent-Length: 0\r\n"), length},
      {post("Content-Length:\r\nContent-Length: 34\r\n"), length},
      {post("transfer-encoding:  CHUNKED \r\n", "0\r\n\r\n"),
       "POST /p @a 1.1 chunked keep |Host:a|transfer-encoding:CHUNKED end more"},
      {post("Transfer-Encoding:\r\n"), coding},
      {post("Transfer-Encoding: ,\r\n"), coding},
      {post("Transfer-Encoding: chunked,\r\n"), coding},
      {post("Transfer-Encoding: ,chunked\r\n"), coding},
      {post("Transfer-Encoding: chunked, chunked\r\n"), coding},
      {post("Transfer-Encoding: chunked, gzip\r\n"), coding},
      {post("Transfer-Encoding: chunked;q=1\r\n"), coding},
      {post("Transfer-Encoding: gzip;level=1, chunked\r\n"), coding},
      {post("Transfer-Encoding: \"chunked\"\r\n"), coding},
      {post("Transfer-Encoding: chunked chunked\r\n"), coding},
      {post("Transfer-Encoding: chun ked\r\n"), coding},
      {post("Transfer-Encoding: chunked\xa0\r\n"), coding},
      {post("Transfer-Encoding: \x0b"
            "chunked\r\n"),
       "error control_byte"},
      {post("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n"), coding},
      {post("Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n"), coding},
      {post("Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n"), coding},
      {post("Transfer-Encoding:\r\nTransfer-Encoding: chunked\r\n"), coding},
      {line("POST /p HTTP/1.0", "Transfer-Encoding: chunked\r\n"), coding},
      {post("Transfer-Encoding: gzip\r\n"), unknown},
      {post("Transfer-Encoding: identity\r\n"), unknown},
      {post("Transfer-Encoding: xchunked\r\n"), unknown},
      {post("Transfer-Encoding: gzip, chunked\r\n"), unknown},
      {post("Transfer-Encoding: gzip, deflate\r\n"), unknown},
      {post("Transfer-Encoding: chunked\r\nContent-Length: 5\r\n", "0\r\n\r\n"), conflict},
      {post("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n"), conflict},
      {post("Content-Length: 0\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n"), conflict},
      {post("Transfer-Encoding: xchunked\r\nContent-Length: 5\r\n", "hello"), conflict},
      {post("Transfer-Encoding: identity\r\nContent-Length: 5\r\n", "hello"), conflict},
      {post("Content-Length: x\r\nTransfer-Encoding: chunked\r\n"), length},
      // The graver of two faults: what a later one may hide must not decide.
      {"POST / HTTP/1.1\r\nTransfer-Encoding: gzip\r\n\r\n", "error host_missing"},
      {"POST / HTTP/1.1\r\nExpect: x\r\nTransfer-Encoding: gzip\r\nHost: a\r\n\r\n", unknown},
      {"POST / HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: gzip\r\n\r\n", conflict},
  };
}

inline std::vector<RequestCase> requestChunkCases() {
  const auto ok = [](std::string_view body, std::string_view seen) {
    return RequestCase{kChunkedPost + std::string(body),
                       kChunkedSeen + std::string(seen) + "end more"};
  };
  const auto refused = [](std::string_view body, std::string_view seen) {
    return RequestCase{kChunkedPost + std::string(body), kChunkedSeen + std::string(seen)};
  };
  return {
      ok("0\r\n\r\n", ""),
      ok("5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n", "body[hello world] "),
      ok("A\r\n0123456789\r\na\r\nabcdefghij\r\n000\r\n\r\n", "body[0123456789abcdefghij] "),
      ok("2\r\n\r\n\r\n0\r\n\r\n", "body[\r\n] "),
      ok("5;ext=value\r\nhello\r\n0;last\r\n\r\n", "body[hello] "),
      ok("5 ;a = \"q;\\\"\\\\ \xe9\"\t; b\r\nhello\r\n0\r\n\r\n", "body[hello] "),
      ok("1\r\nx\r\n0\r\nX-Sum: abc\r\nEmpty:\r\n\r\n", "body[x] "),
      ok("0\r\nContent-Length: 7\r\nTransfer-Encoding: gzip\r\nHost: b\r\nAuthorization: x\r\n\r\n",
         ""),
      refused("5\r\nhel", "body[hel] more started"),
      refused("5\r\nhello\r\n", "body[hello] more started"),
      refused("5\r\nhello\r\n0\r\n", "body[hello] more started"),
      refused("4000000000000000\r\nab", "body[ab] more started"),
      refused("4000000000000001\r\nab", "error chunk"),
      refused("10000000000000005\r\nhello", "error chunk"),
      refused("fffffffffffffffffffff\r\n", "error chunk"),
      refused("\r\n", "error chunk"),
      refused("g\r\n", "error chunk"),
      refused("-5\r\nhello", "error chunk"),
      refused("+5\r\nhello", "error chunk"),
      refused(" 5\r\nhello", "error chunk"),
      refused("5 \r\nhello", "error chunk"),
      refused("0x5\r\nhello", "error chunk"),
      refused("5_0\r\nhello", "error chunk"),
      refused("5h\r\nhello", "error chunk"),
      refused("5\nhello", "error chunk"),
      refused("5\r\rhello", "error chunk"),
      refused("5\rhello", "error chunk"),
      refused("5;\r\nhello", "error chunk"),
      refused("5;a\nhello", "error chunk"),
      refused("5;a=\"\nb\"\r\nhello", "error chunk"),
      refused("5;a=\"b\r\n", "error chunk"),
      refused("5;a\x01\r\nhello", "error chunk"),
      refused("5;a\rX\r\nhello", "error chunk"),
      refused("5\r\nhelloXX0\r\n\r\n", "body[hello] error chunk"),
      refused("5\r\nhello\n0\r\n\r\n", "body[hello] error chunk"),
      refused("5\r\nhello\rX", "body[hello] error chunk"),
      refused("5\r\nhelloX\n0\r\n\r\n", "body[hello] error chunk"),
      refused("5\r\nhello6\r\n", "body[hello] error chunk"),
      refused("5\r\nhello\r\n\r\n", "body[hello] error chunk"),
      refused("3\r\nhello\r\n0\r\n\r\n", "body[hel] error chunk"),
      refused("1;" + std::string(4'096, 'e') + "\r\nx", "error chunk_line_too_large"),
      refused(std::string(5'000, '0') + "\r\n\r\n", "error chunk_line_too_large"),
      refused(repeat("1;" + std::string(4'000, 'e') + "\r\nx\r\n", 17),
              "body[" + std::string(16, 'x') + "] error chunk_line_too_large"),
      refused("0\r\nGET /smuggled HTTP/1.1\r\n", "error trailer"),
      refused("0\r\nXX", "more started"),
      refused("0\r\nA : b\r\n\r\n", "error trailer"),
      refused("0\r\n: b\r\n\r\n", "error trailer"),
      refused("0\r\n A: b\r\n\r\n", "error trailer"),
      refused("0\r\nA: b\r\n c\r\n\r\n", "error trailer"),
      refused("0\r\nA: b\n\r\n", "error trailer"),
      refused("0\r\nA: b\rc\r\n", "error trailer"),
      refused("0\r\n\n", "error trailer"),
      refused("0\r\n\rX", "error trailer"),
      refused("0\r\n" + repeat("a: b\r\n", 3'000), "error trailers_too_large"),
  };
}

inline std::vector<RequestCase> connectionCases() {
  const std::string got = "GET / @a 1.1 keep |Host:a end ";
  return {
      {get("") + get("") + get(""), got + got + got + "more"},
      {get("") + "\r\n" + get(""), got + got + "more"},
      {get("") + repeat("\r\n", 9), got + "error empty_lines"},
      {get("") + "X", got + "more started"},
      {get("") + "\n", got + "error method"},
      {post("Content-Length: 5\r\n", "hello") + get(""),
       "POST /p @a 1.1 length=5 keep |Host:a|Content-Length:5 body[hello] end " + got + "more"},
      {post("Content-Length: 5\r\n", "hello\r\n") + get(""),
       "POST /p @a 1.1 length=5 keep |Host:a|Content-Length:5 body[hello] end " + got + "more"},
      {kChunkedPost + "1\r\nx\r\n0\r\nA: b\r\n\r\n" + get(""),
       kChunkedSeen + "body[x] end " + got + "more"},
      // Whether the next message may be served is the caller's to know from keepAlive().
      {get("Connection: close\r\n") + get(""),
       "GET / @a 1.1 close |Host:a|Connection:close end " + got + "more"},
      {get("") + "GET / HTTP/1.1\r\n\r\n", got + "error host_missing"},
      {post("Content-Length: 6\r\n", "0\r\n\r\nG") + "ET / HTTP/1.1\r\n",
       "POST /p @a 1.1 length=6 keep |Host:a|Content-Length:6 body[0\r\n\r\nG] end more started"},
      {get("A:b\r\n") + get(""), "GET / @a 1.1 keep |Host:a|A:b end " + got + "more"},
  };
}

inline std::vector<RequestCase> allRequestCases() {
  std::vector<RequestCase> all;
  for (const auto& part :
       {requestLineCases(), targetCases(), hostCases(), fieldCases(), knownFieldCases(),
        requestFramingCases(), requestChunkCases(), connectionCases()}) {
    all.insert(all.end(), part.begin(), part.end());
  }
  return all;
}

}  // namespace pointsman::test
