// What the head of a typical request costs: nanoseconds and bytes per call, whole and in two
// pieces.
//
//   g++ -std=c++20 -O2 -fno-exceptions -Inative native/bench/request_parser_bench.cc
//     native/http1/*.cc -o build/request_parser_bench && build/request_parser_bench
#include <algorithm>
#include <array>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <string>
#include <string_view>

#include "http1/request_parser.h"

namespace {

constexpr std::string_view kRequest =
    "POST /serving-endpoints/multi-model/invocations HTTP/1.1\r\n"
    "Host: router.example.com:8080\r\n"
    "User-Agent: python-requests/2.31.0\r\n"
    "Accept-Encoding: gzip, deflate\r\n"
    "Accept: */*\r\n"
    "Connection: keep-alive\r\n"
    "Authorization: Bearer dapi0123456789abcdef0123456789abcdef\r\n"
    "Content-Type: application/json\r\n"
    "Content-Length: 100\r\n"
    "\r\n";
constexpr size_t kBodyBytes = 100;
constexpr int kRounds = 20;
constexpr int kCallsPerRound = 200'000;

using pointsman::RequestParser;
using pointsman::RequestStepKind;

// Reads one request in pieces of `pieceBytes`; answers something that depends on all of it.
size_t parse(RequestParser& parser, std::string_view bytes, size_t pieceBytes) {
  parser.reset();
  size_t sum = 0;
  for (;;) {
    const size_t size = std::min(pieceBytes, bytes.size());
    const RequestParser::Step step = parser.next(bytes.substr(0, size));
    bytes.remove_prefix(step.consumed);
    sum += step.consumed + step.body.size();
    if (step.kind == RequestStepKind::kEnd || step.kind == RequestStepKind::kError) {
      return sum + parser.path().size() + parser.fields().size() + parser.authorization().size();
    }
  }
}

void measure(const char* name, std::string_view bytes, size_t pieceBytes) {
  RequestParser parser;
  std::array<double, kRounds> rounds{};
  size_t sum = 0;
  for (double& nanoseconds : rounds) {
    const auto start = std::chrono::steady_clock::now();
    for (int i = 0; i < kCallsPerRound; ++i) sum += parse(parser, bytes, pieceBytes);
    const std::chrono::duration<double, std::nano> taken = std::chrono::steady_clock::now() - start;
    nanoseconds = taken.count() / kCallsPerRound;
  }
  std::sort(rounds.begin(), rounds.end());
  std::printf("%-24s %4zu bytes  best %6.1f ns  median %6.1f ns  (%zu)\n", name, bytes.size(),
              rounds.front(), rounds[kRounds / 2], sum % 10);
}

}  // namespace

int main() {
  const std::string request = std::string(kRequest).append(kBodyBytes, 'x');
  measure("whole", request, request.size());
  measure("head and body apart", request, kRequest.size());
  measure("cut in the head", request, 150);
  return 0;
}
