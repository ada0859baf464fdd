// What reading a request of a client costs: head, framing, body.
#include <cstdlib>
#include <string>

#include "http1/request_parser.h"
#include "micro.h"

using namespace pointsman;
using namespace pointsman::bench;

namespace {

uint64_t readWhole(RequestParser& parser, std::string_view input) {
  parser.reset();
  uint64_t bytes = 0;
  for (;;) {
    const RequestParser::Step step = parser.next(input);
    input.remove_prefix(step.consumed);
    bytes += step.body.size();
    if (step.kind == RequestStepKind::kEnd) return bytes;
    if (step.kind == RequestStepKind::kError || step.kind == RequestStepKind::kNeedMore) {
      std::abort();
    }
  }
}

}  // namespace

int main() {
  const std::string line = "POST /serving-endpoints/multi-model/invocations HTTP/1.1\r\n";
  const std::string body(100, 'x');
  const std::string plain = line +
                            "Host: router.test\r\nAuthorization: Bearer 0123456789abcdef\r\n"
                            "Content-Type: application/json\r\nContent-Length: 100\r\n\r\n" +
                            body;
  const std::string usual = line +
                            "Host: router.test:8080\r\nUser-Agent: python-requests/2.31.0\r\n"
                            "Accept-Encoding: gzip, deflate\r\nAccept: */*\r\n"
                            "Connection: keep-alive\r\nAuthorization: Bearer 0123456789abcdef\r\n"
                            "Content-Type: application/json\r\nContent-Length: 100\r\n\r\n" +
                            body;
  RequestParser parser;
  measure("request parser, 4 fields", [&] { return readWhole(parser, plain); });
  measure("request parser, 8 fields", [&] { return readWhole(parser, usual); });
}
