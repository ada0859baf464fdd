// What replicas say of their patience, and how long we keep a connection then.
#include "http1/keep_alive.h"

#include "http1/response_parser.h"
#include "test/check.h"

namespace {

using namespace pointsman;

void readsTimeout() {
  CHECK_EQUAL(keepAliveTimeout("timeout=5").value_or(99), 5U);
  CHECK_EQUAL(keepAliveTimeout("max=100, TIMEOUT = 15 ").value_or(99), 15U);
  CHECK_EQUAL(keepAliveTimeout("timeout=0").value_or(99), 0U);
  CHECK_EQUAL(keepAliveTimeout("timeout=007,timeout=9").value_or(99), 7U);
  CHECK_EQUAL(keepAliveTimeout("timeout=99999999999999999999").value_or(99), kKeepAliveSecondsMax);
  for (const std::string_view none : {"", "timeout", "timeout=", "timeout=-1", "timeout=5s",
                                      "timeout=\"5\"", "timeouts=5", "x-timeout=5", ",,", "5"}) {
    CHECK(!keepAliveTimeout(none));
  }
}

void staysBelow() {
  CHECK_EQUAL(idleBelow(std::nullopt, 4'000), 4'000U);
  CHECK_EQUAL(idleBelow(75, 4'000), 4'000U);
  CHECK_EQUAL(idleBelow(5, 4'000), 4'000U);
  CHECK_EQUAL(idleBelow(5, 60'000), 4'000U);
  CHECK_EQUAL(idleBelow(2, 4'000), 1'000U);
  CHECK_EQUAL(idleBelow(1, 4'000), 500U);
  CHECK_EQUAL(idleBelow(0, 4'000), 0U);
}

// Of the last head only, at whatever cut.
void isTakenFromTheAnswer() {
  const std::string bytes =
      "HTTP/1.1 103 x\r\nKeep-Alive: timeout=9\r\n\r\n"
      "HTTP/1.1 200 OK\r\nKEEP-alive: timeout=3\r\nContent-Length: 0\r\n\r\n";
  for (size_t cut = 0; cut < bytes.size(); cut++) {
    ResponseParser parser;
    parser.reset(false);
    std::string_view rest(bytes);
    CHECK(parser.next(rest.substr(0, cut)).kind == StepKind::kNeedMore);
    CHECK(parser.next(rest.substr(cut)).kind == StepKind::kHead);
    CHECK_EQUAL(parser.keepAliveSeconds().value_or(99), 3U);
    parser.reset(false);
    CHECK(!parser.keepAliveSeconds());
  }
}

}  // namespace

int main() {
  readsTimeout();
  staysBelow();
  isTakenFromTheAnswer();
  return test::finishChecks();
}
