// Every request is given whole, byte by byte and cut at every place; then some ten thousand
// mutations of them are.
#include "http1/request_parser.h"

#include <algorithm>
#include <set>
#include <string>
#include <vector>

#include "core/rng.h"
#include "test/check.h"
#include "test/counting_new.h"
#include "test/request_body_cases.h"
#include "test/request_driver.h"

namespace pointsman {
namespace {

using test::driveRequest;
using test::RequestCase;

std::vector<size_t> everyByte(size_t size) {
  std::vector<size_t> cuts;
  for (size_t i = 1; i < size; ++i) cuts.push_back(i);
  return cuts;
}

void checkCase(const RequestCase& one) {
  CHECK_EQUAL(driveRequest(one.bytes, {}, one.limits), one.expected);
  // Long messages are cut at a stride: their middle is all alike.
  const bool isShort = one.bytes.size() < 2'000;
  const size_t stride = isShort ? 1 : 997;
  if (isShort) {
    CHECK_EQUAL(driveRequest(one.bytes, everyByte(one.bytes.size()), one.limits), one.expected);
  }
  for (size_t cut = 0; cut <= one.bytes.size(); cut += stride) {
    const std::vector<size_t> cuts = {cut};
    CHECK_EQUAL(driveRequest(one.bytes, cuts, one.limits), one.expected);
  }
}

// A new error needs a case, and texts for it. Memory that is short is tested elsewhere
// (front_alloc_faults_test.cc).
void testEveryErrorHasACase(const std::vector<RequestCase>& cases) {
  std::set<std::string> seen;
  for (const RequestCase& one : cases) {
    const size_t at = one.expected.rfind("error ");
    if (at != std::string::npos) seen.insert(one.expected.substr(at + 6));
  }
  std::set<std::string> reasons;
  for (uint8_t i = 1; i < kRequestErrorCount; ++i) {
    const auto error = static_cast<RequestError>(i);
    const bool isSeen = seen.contains(nameOf(error));
    CHECK_EQUAL(std::string(nameOf(error)) + (isSeen ? " 1" : " 0"),
                std::string(nameOf(error)) + (error == RequestError::kOutOfMemory ? " 0" : " 1"));
    CHECK(reasons.insert(reasonOf(error)).second);
  }
  CHECK_EQUAL(seen.size() + 2, size_t{kRequestErrorCount});
}

void testStatuses() {
  CHECK_EQUAL(statusOf(RequestError::kMethod), 400);
  CHECK_EQUAL(statusOf(RequestError::kConflictingFraming), 400);
  CHECK_EQUAL(statusOf(RequestError::kTargetTooLong), 414);
  CHECK_EQUAL(statusOf(RequestError::kExpectation), 417);
  CHECK_EQUAL(statusOf(RequestError::kHeadTooLarge), 431);
  CHECK_EQUAL(statusOf(RequestError::kTooManyFields), 431);
  CHECK_EQUAL(statusOf(RequestError::kMethodTooLong), 501);
  CHECK_EQUAL(statusOf(RequestError::kConnect), 501);
  CHECK_EQUAL(statusOf(RequestError::kTransferCodingUnknown), 501);
  CHECK_EQUAL(statusOf(RequestError::kVersionUnsupported), 505);
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
                                                 "\t",
                                                 "Content-Length: 3\r\n",
                                                 "close",
                                                 "Transfer-Encoding: chunked\r\n",
                                                 "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
                                                 "http://b:1/",
                                                 "HTTP/1.0",
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

void testMutationsAreCutInvariant(const std::vector<RequestCase>& cases) {
  Xoshiro256pp rng(27'182);
  for (int round = 0; round < 30'000; ++round) {
    const RequestCase& one = cases[scaleDraw(rng.next(), static_cast<uint32_t>(cases.size()))];
    if (one.bytes.size() > 2'000) continue;
    const std::string bytes = mutate(one.bytes, rng);
    RequestLimits limits = one.limits;
    if (scaleDraw(rng.next(), 4) == 0) {
      limits.headBytesMax = 20 + scaleDraw(rng.next(), 80);
      limits.targetBytesMax = 1 + scaleDraw(rng.next(), 40);
      limits.fieldsMax = 1 + scaleDraw(rng.next(), 4);
    }
    std::vector<size_t> cuts;
    const uint32_t longest = 1 + scaleDraw(rng.next(), 40);
    for (size_t at = 1 + scaleDraw(rng.next(), longest); at < bytes.size();
         at += 1 + scaleDraw(rng.next(), longest)) {
      cuts.push_back(at);
    }
    const std::string whole = driveRequest(bytes, {}, limits);
    CHECK(!whole.starts_with("CONTRACT BROKEN"));
    CHECK_EQUAL(driveRequest(bytes, cuts, limits), whole);
  }
}

// The head is the parser's own once it is complete: the input may be overwritten.
void testHeadOutlivesItsInput() {
  std::string input = test::post("Authorization: Bearer t\r\nContent-Length: 2\r\n", "ok");
  RequestParser parser;
  const RequestParser::Step head = parser.next(input);
  CHECK(head.kind == RequestStepKind::kHead);
  CHECK_EQUAL(head.consumed, input.size() - 2);
  const std::string_view bytes = input;
  const RequestParser::Step body = parser.next(bytes.substr(head.consumed));
  CHECK(body.body.data() == bytes.data() + head.consumed);
  std::fill(input.begin(), input.end(), '#');
  CHECK(parser.next("").kind == RequestStepKind::kEnd);
  CHECK_EQUAL(parser.method(), "POST");
  CHECK_EQUAL(parser.path(), "/p");
  CHECK_EQUAL(parser.host(), "a");
  CHECK_EQUAL(parser.authorization(), "Bearer t");
  CHECK_EQUAL(parser.fields(), "Host: a\r\nAuthorization: Bearer t\r\nContent-Length: 2\r\n");
}

void testHeadStaysAfterAnErrorInTheBody() {
  RequestParser parser;
  const std::string bytes = test::kChunkedPost + "x";
  const RequestParser::Step head = parser.next(bytes);
  CHECK(head.kind == RequestStepKind::kHead);
  CHECK(parser.next("x").error == RequestError::kChunk);
  CHECK(parser.headComplete());
  CHECK_EQUAL(parser.path(), "/p");
}

void testStartedTellsEmptyLinesFromARequest() {
  RequestParser parser;
  CHECK(parser.next("\r\n\r").kind == RequestStepKind::kNeedMore);
  CHECK(!parser.hasStarted());
  CHECK(parser.next("\nG").kind == RequestStepKind::kNeedMore);
  CHECK(parser.hasStarted());
  CHECK(!parser.headComplete());
  parser.reset();
  CHECK(!parser.hasStarted());
}

// Heads need one buffer, which is kept; fields that have to be written anew a second one.
void testWarmParserDoesNotAllocate() {
  RequestParser parser;
  uint64_t before = 0;
  for (int i = 0; i < 10; ++i) {
    if (i == 1) before = test::allocationCount;
    for (const size_t cut : {size_t{0}, size_t{30}, size_t{60}}) {
      std::string_view input =
          "POST http://b/p HTTP/1.1\r\nHost:a\r\nA: b\r\nTransfer-Encoding: chunked\r\n\r\n"
          "1\r\nx\r\n0\r\n\r\n";
      parser.reset();
      if (cut > 0) {
        CHECK(parser.next(input.substr(0, cut)).kind == RequestStepKind::kNeedMore);
        input.remove_prefix(cut);
      }
      for (const RequestStepKind kind :
           {RequestStepKind::kHead, RequestStepKind::kBodyData, RequestStepKind::kEnd}) {
        const RequestParser::Step step = parser.next(input);
        CHECK(step.kind == kind);
        input.remove_prefix(step.consumed);
      }
      CHECK_EQUAL(parser.fields(), "Host: a\r\nA: b\r\nTransfer-Encoding: chunked\r\n");
    }
  }
  CHECK(before > 0);
  CHECK_EQUAL(test::allocationCount - before, uint64_t{0});
}

}  // namespace
}  // namespace pointsman

int main() {
  const std::vector<pointsman::test::RequestCase> cases = pointsman::test::allRequestCases();
  for (const pointsman::test::RequestCase& one : cases) pointsman::checkCase(one);
  pointsman::testEveryErrorHasACase(cases);
  pointsman::testStatuses();
  pointsman::testMutationsAreCutInvariant(cases);
  pointsman::testHeadOutlivesItsInput();
  pointsman::testHeadStaysAfterAnErrorInTheBody();
  pointsman::testStartedTellsEmptyLinesFromARequest();
  pointsman::testWarmParserDoesNotAllocate();
  return pointsman::test::finishChecks();
}
