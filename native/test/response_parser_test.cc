// Every answer is given whole, byte by byte and cut at every place; then a few thousand mutations
// of them are.
#include "http1/response_parser.h"

#include <string>
#include <vector>

#include "core/rng.h"
#include "test/check.h"
#include "test/counting_new.h"
#include "test/response_cases.h"
#include "test/response_driver.h"

namespace pointsman {
namespace {

using test::Case;
using test::DriveOptions;
using test::driveResponse;
using test::ok;

std::vector<size_t> everyByte(size_t size) {
  std::vector<size_t> cuts;
  for (size_t i = 1; i < size; ++i) cuts.push_back(i);
  return cuts;
}

void checkCase(const Case& one) {
  CHECK_EQUAL(driveResponse(one.bytes, {}, one.options), one.expected);
  CHECK_EQUAL(driveResponse(one.bytes, everyByte(one.bytes.size()), one.options), one.expected);
  // Long heads are cut at a stride: their middle is all alike.
  const size_t stride = one.bytes.size() < 2'000 ? 1 : 997;
  for (size_t cut = 0; cut <= one.bytes.size(); cut += stride) {
    const std::vector<size_t> cuts = {cut};
    CHECK_EQUAL(driveResponse(one.bytes, cuts, one.options), one.expected);
  }
}

std::string mutate(std::string bytes, Xoshiro256pp& rng) {
  static constexpr std::string_view kPieces[] = {"\r\n",
                                                 "\n",
                                                 "\r",
                                                 ":",
                                                 " ",
                                                 "0",
                                                 "\r\n\r\n",
                                                 ";",
                                                 ",",
                                                 "Content-Length: 3\r\n",
                                                 "close",
                                                 "Transfer-Encoding: chunked\r\n",
                                                 "HTTP/1.1 100 x\r\n\r\n",
                                                 "ffffffffffffffff"};
  const uint32_t edits = 1 + scaleDraw(rng.next(), 4);
  for (uint32_t i = 0; i < edits; ++i) {
    const size_t at = scaleDraw(rng.next(), static_cast<uint32_t>(bytes.size()) + 1);
    switch (scaleDraw(rng.next(), 4)) {
      case 0:
        bytes.insert(at, kPieces[scaleDraw(rng.next(), std::size(kPieces))]);
        break;
      case 1:
        bytes.erase(at, scaleDraw(rng.next(), 8));
        break;
      case 2:
        if (at < bytes.size()) bytes[at] = static_cast<char>(rng.next() & 0xff);
        break;
      default:
        bytes.insert(at, bytes.substr(at / 2, scaleDraw(rng.next(), 40)));
    }
  }
  return bytes;
}

void testMutationsAreCutInvariant(const std::vector<Case>& cases) {
  Xoshiro256pp rng(31'337);
  for (int round = 0; round < 30'000; ++round) {
    const Case& one = cases[scaleDraw(rng.next(), static_cast<uint32_t>(cases.size()))];
    if (one.bytes.size() > 2'000) continue;
    const std::string bytes = mutate(one.bytes, rng);
    DriveOptions options = one.options;
    if (scaleDraw(rng.next(), 4) == 0) options.headBytesMax = 64 + scaleDraw(rng.next(), 64);
    std::vector<size_t> cuts;
    const uint32_t longest = 1 + scaleDraw(rng.next(), 40);
    for (size_t at = 1 + scaleDraw(rng.next(), longest); at < bytes.size();
         at += 1 + scaleDraw(rng.next(), longest)) {
      cuts.push_back(at);
    }
    const std::string whole = driveResponse(bytes, {}, options);
    CHECK(!whole.starts_with("CONTRACT BROKEN"));
    CHECK_EQUAL(driveResponse(bytes, cuts, options), whole);
  }
}

void testHeadInOnePieceIsReadInPlace() {
  const std::string answer = ok("Content-Length: 5\r\n", "hello");
  const std::string_view bytes = answer;
  ResponseParser parser;
  parser.reset(false);
  const ResponseParser::Step head = parser.next(bytes);
  CHECK(head.kind == StepKind::kHead);
  CHECK_EQUAL(head.consumed, bytes.size() - 5);
  CHECK(parser.fields()[0].name.data() == bytes.data() + 17);
  const ResponseParser::Step body = parser.next(bytes.substr(head.consumed));
  CHECK(body.body.data() == bytes.data() + head.consumed);
}

void testParserServesManyAnswers() {
  ResponseParser parser;
  for (int i = 0; i < 3; ++i) {
    parser.reset(false);
    CHECK(!parser.hasStarted());
    CHECK(parser.next("HTTP/1.1 200 OK\r\nConte").kind == StepKind::kNeedMore);
    CHECK(parser.hasStarted());
    CHECK(parser.next("nt-Length: 0\r\nX: y\r\n\r\n").kind == StepKind::kHead);
    CHECK_EQUAL(parser.fields().size(), size_t{2});
    CHECK(!parser.isReusable());
    CHECK(parser.next("").kind == StepKind::kEnd);
    CHECK(parser.isReusable());
  }
  CHECK(parser.next("x").error == ParseError::kBytesAfterEnd);
  CHECK(!parser.isReusable());
  parser.reset(false);
  CHECK(parser.finish().error == ParseError::kEofBeforeStart);
}

void testBytesBehindTheEndForbidReuse() {
  constexpr std::string_view kHead = "HTTP/1.1 204 x\r\n\r\n";
  for (const std::string_view behind : {"", "HTTP/1.1 200 OK\r\n\r\n"}) {
    ResponseParser parser;
    parser.reset(false);
    const std::string bytes = std::string(kHead).append(behind);
    CHECK_EQUAL(parser.next(bytes).consumed, kHead.size());
    const ResponseParser::Step last = parser.next(behind);
    CHECK(last.kind == StepKind::kEnd);
    CHECK_EQUAL(last.consumed, size_t{0});
    CHECK_EQUAL(parser.isReusable(), behind.empty());
  }
}

// Whole heads need no buffer, heads in pieces one that is kept.
void testWarmParserDoesNotAllocate() {
  ResponseParser parser;
  uint64_t before = 0;
  for (int i = 0; i < 10; ++i) {
    if (i == 1) before = test::allocationCount;
    for (const bool isCut : {false, true}) {
      std::string_view input =
          "HTTP/1.1 200 OK\r\nA: b\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n";
      parser.reset(false);
      if (isCut) {
        CHECK(parser.next(input.substr(0, 30)).kind == StepKind::kNeedMore);
        input.remove_prefix(30);
      }
      for (const StepKind kind : {StepKind::kHead, StepKind::kBodyData, StepKind::kEnd}) {
        const ResponseParser::Step step = parser.next(input);
        CHECK(step.kind == kind);
        input.remove_prefix(step.consumed);
      }
    }
  }
  CHECK(before > 0);
  CHECK_EQUAL(test::allocationCount - before, uint64_t{0});
}

void testEndOfStreamAfterTheEndIsNoError() {
  ResponseParser parser;
  parser.reset(false);
  CHECK(parser.next("HTTP/1.1 204 x\r\n\r\n").kind == StepKind::kHead);
  CHECK(parser.next("").kind == StepKind::kEnd);
  CHECK(parser.isReusable());
  CHECK(parser.finish().kind == StepKind::kEnd);
  CHECK(!parser.isReusable());
}

}  // namespace
}  // namespace pointsman

int main() {
  const std::vector<pointsman::test::Case> cases = pointsman::test::allCases();
  for (const pointsman::test::Case& one : cases) pointsman::checkCase(one);
  pointsman::testMutationsAreCutInvariant(cases);
  pointsman::testHeadInOnePieceIsReadInPlace();
  pointsman::testParserServesManyAnswers();
  pointsman::testBytesBehindTheEndForbidReuse();
  pointsman::testWarmParserDoesNotAllocate();
  pointsman::testEndOfStreamAfterTheEndIsNoError();
  return pointsman::test::finishChecks();
}
