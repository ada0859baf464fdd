// What reading an answer of a replica costs, body included.
#include <cstdlib>
#include <string>

#include "http1/response_parser.h"
#include "micro.h"

using namespace pointsman;
using namespace pointsman::bench;

namespace {

uint64_t readWhole(ResponseParser& parser, std::string_view input) {
  parser.reset(false);
  uint64_t bytes = 0;
  for (;;) {
    const ResponseParser::Step step = parser.next(input);
    input.remove_prefix(step.consumed);
    bytes += step.body.size();
    if (step.kind == StepKind::kEnd) return bytes;
    if (step.kind == StepKind::kError || step.kind == StepKind::kNeedMore) std::abort();
  }
}

}  // namespace

int main() {
  const std::string body(64, 'x');
  const std::string plain =
      "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 64\r\n\r\n" + body;
  // As model servers on Python answer.
  const std::string usual =
      "HTTP/1.1 200 OK\r\ndate: Sat, 01 Aug 2026 12:00:00 GMT\r\nserver: uvicorn\r\n"
      "content-length: 64\r\ncontent-type: application/json\r\n"
      "x-request-id: 0b9f3f1e6f0c4a6f8f8e1f2a3b4c5d6e\r\n\r\n" +
      body;
  const std::string chunked =
      "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
      "40\r\n" +
      body + "\r\n40\r\n" + body + "\r\n0\r\n\r\n";
  ResponseParser parser;
  measure("response parser, 2 fields", [&] { return readWhole(parser, plain); });
  measure("response parser, 5 fields", [&] { return readWhole(parser, usual); });
  measure("response parser, 2 chunks", [&] { return readWhole(parser, chunked); });
}
