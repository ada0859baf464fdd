// The front and its token lane: what is asked, what becomes of every kind of answer, and what is
// left when the lane is lost.
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cstring>
#include <functional>

#include "front/token_lane.h"
#include "test/check.h"
#include "test/net/front_kit.h"

namespace {

using namespace pointsman;        // NOLINT: the code under test
using namespace pointsman::test;  // NOLINT: its kit

constexpr uint32_t kRefused = 0;
constexpr uint32_t kPassed = 1;
constexpr uint32_t kUndecided = 2;
constexpr uint32_t kTrust = 3;

struct Question {
  uint32_t connection = 0;
  uint32_t generation = 0;
  uint32_t trustVersion = 0;
  std::string authorization{};
};

// A front with a lane, and the thread's end of it.
struct LaneKit {
  FrontKit kit;
  int fd = -1;
  std::string received{};

  LaneKit() {
    kit.verdict = FrontKit::Verdict::kLater;
    kit.front->setTrustVersion(kTrust);
    openLane();
  }
  LaneKit(const LaneKit&) = delete;
  LaneKit& operator=(const LaneKit&) = delete;
  ~LaneKit() { closeEnd(); }

  void openLane() {
    closeEnd();
    std::array<int, 2> ends{};
    CHECK_EQUAL(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends.data()), 0);
    CHECK(kit.front->openTokenLane(ends[0]));
    fd = ends[1];
    received.clear();
  }

  void closeEnd() {
    if (fd >= 0) close(fd);
    fd = -1;
  }

  // The questions that have come whole.
  std::vector<Question> questions() {
    std::vector<Question> found;
    std::array<char, 4096> part{};
    for (;;) {
      const ssize_t bytes = recv(fd, part.data(), part.size(), 0);
      if (bytes <= 0) break;
      received.append(part.data(), static_cast<size_t>(bytes));
    }
    while (received.size() >= sizeof(uint32_t)) {
      std::array<uint32_t, 4> head{};
      std::memcpy(head.data(), received.data(), std::min(received.size(), sizeof head));
      const size_t frame = sizeof(uint32_t) + head[0];
      if (received.size() < frame) break;
      found.push_back(
          {head[1], head[2], head[3], received.substr(sizeof head, frame - sizeof head)});
      received.erase(0, frame);
    }
    return found;
  }

  std::vector<Question> awaitQuestions(size_t count) {
    std::vector<Question> all;
    CHECK(kit.loop.runUntil([&] {
      for (Question& one : questions()) all.push_back(std::move(one));
      return all.size() >= count;
    }));
    return all;
  }

  void answer(std::string_view bytes) {
    CHECK_EQUAL(send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL),
                static_cast<ssize_t>(bytes.size()));
  }
};

std::string answerTo(const Question& question, uint32_t verdict, std::string_view said = {}) {
  const std::array<uint32_t, 5> head{static_cast<uint32_t>(16 + said.size()), question.connection,
                                     question.generation, question.trustVersion, verdict};
  std::string frame(sizeof head, '\0');
  std::memcpy(frame.data(), head.data(), sizeof head);
  return frame.append(said);
}

std::string ask(std::string_view authorization) {
  return post("a", "{}", "Authorization: " + std::string(authorization) + "\r\n");
}

void testRefusedByTheThread() {
  LaneKit lane;
  const auto client = lane.kit.client();
  client->send(ask("Bearer bad.bad.bad"));
  const std::vector<Question> asked = lane.awaitQuestions(1);
  CHECK_EQUAL(asked[0].authorization, "Bearer bad.bad.bad");
  CHECK_EQUAL(asked[0].trustVersion, kTrust);
  lane.answer(answerTo(asked[0], kRefused));
  client->readAnswers(1);
  CHECK(client->received.starts_with("HTTP/1.1 401 "));
  CHECK_EQUAL(lane.kit.tokensAsked, 0U);
  // The connection goes on, and the next token is a question of its own.
  client->send(ask("Bearer other.bad.one"));
  const std::vector<Question> next = lane.awaitQuestions(1);
  CHECK(next[0].generation != asked[0].generation || next[0].connection != asked[0].connection);
  lane.answer(answerTo(next[0], kRefused));
  client->readAnswers(2);
  lane.kit.checkQuiet();
}

void testUndecided() {
  LaneKit lane;
  const auto client = lane.kit.client();
  client->send(ask("Bearer a.b.c"));
  const std::vector<Question> asked = lane.awaitQuestions(1);
  lane.answer(answerTo(asked[0], kUndecided));
  client->readAnswers(1);
  CHECK(client->received.starts_with("HTTP/1.1 503 "));
  CHECK_EQUAL(lane.kit.tokensAsked, 0U);
  lane.kit.checkQuiet();
}

// A change of who may call sends all that were good to the host: no flood stands before them.
void testWhatWasGoodTakesNoLane() {
  LaneKit lane;
  lane.kit.rememberGoodToken();
  lane.kit.control.authEpoch.store(1);
  const auto client = lane.kit.client();
  client->send(ask(kGoodToken));
  CHECK(lane.kit.loop.runUntil([&] { return lane.kit.tokensAsked == 1; }));
  CHECK(lane.questions().empty());
  lane.kit.judgeAll();
  client->readAnswers(1);
  CHECK(client->received.starts_with("HTTP/1.1 200 "));
  lane.kit.checkQuiet();
}

void testPassedOnWithWhatItSays() {
  LaneKit lane;
  const auto client = lane.kit.client();
  client->send(ask(kGoodToken));
  const std::vector<Question> asked = lane.awaitQuestions(1);
  lane.answer(answerTo(asked[0], kPassed, R"({"ok":true})"));
  CHECK(lane.kit.loop.runUntil([&] { return lane.kit.tokensAsked == 1; }));
  CHECK_EQUAL(lane.kit.waiting[0].verified, R"({"ok":true})");
  lane.kit.judgeAll();
  client->readAnswers(1);
  CHECK(client->received.starts_with("HTTP/1.1 200 "));
  // Known from now on: no question.
  client->send(ask(kGoodToken));
  client->readAnswers(2);
  CHECK(lane.questions().empty());
  lane.kit.checkQuiet();
}

// What the lane's thread proved of a token is handed out again with every change of who may call,
// and as long as the keys are those.
void testProofIsKept() {
  LaneKit lane;
  Front& front = *lane.kit.front;
  const auto admit = [&](std::string_view verified) {
    CHECK(lane.kit.loop.runUntil([&] { return !lane.kit.waiting.empty(); }));
    const auto [connection, generation, isGood, said] = lane.kit.waiting.back();
    lane.kit.waiting.clear();
    CHECK_EQUAL(said, verified);
    CHECK_EQUAL(front.authorizationOf(connection, generation), kGoodToken);
    front.admitVerified(connection, generation,
                        {.grant = makeRef<TokenGrant>(TokenTerms{.everything = true}),
                         .epoch = lane.kit.control.authEpoch.load()},
                        {.verified = "{proved}", .trustVersion = kTrust});
    // It waits no more: nobody else can decide, or see what it sent.
    front.reject(connection, generation, Refusal::kTokenInvalid);
    front.admitVerified(connection, generation, {}, {});
    CHECK_EQUAL(front.authorizationOf(connection, generation), "");
  };
  const auto client = lane.kit.client();
  client->send(ask(kGoodToken));
  lane.answer(answerTo(lane.awaitQuestions(1)[0], kPassed, "{first}"));
  admit("{first}");
  client->readAnswers(1);
  client->send(ask(kGoodToken));
  client->readAnswers(2);
  CHECK_EQUAL(lane.kit.tokensAsked, 1U);
  lane.kit.control.authEpoch.store(1);
  client->send(ask(kGoodToken));
  admit("{proved}");
  client->readAnswers(3);
  lane.kit.control.authEpoch.store(2);
  front.setTrustVersion(kTrust + 1);
  client->send(ask(kGoodToken));
  admit("");
  client->readAnswers(4);
  CHECK(client->received.find("HTTP/1.1 401") == std::string::npos);
  CHECK(lane.questions().empty());
  lane.kit.checkQuiet();
}

// Whatever it says, it was found with keys that are not the present ones.
void testOtherTrustProvesNothing() {
  for (const uint32_t verdict : {kRefused, kPassed, kUndecided}) {
    LaneKit lane;
    const auto client = lane.kit.client();
    client->send(ask("Bearer a.b.c"));
    const std::vector<Question> asked = lane.awaitQuestions(1);
    lane.kit.front->setTrustVersion(kTrust + 1);
    lane.answer(answerTo(asked[0], verdict, "{}"));
    CHECK(lane.kit.loop.runUntil([&] { return lane.kit.tokensAsked == 1; }));
    CHECK_EQUAL(lane.kit.waiting[0].verified, "");
    lane.kit.judgeAll();
    client->readAnswers(1);
    lane.kit.checkQuiet();
  }
}

// Every cut of two answers.
void testAnswersInPieces() {
  size_t bytes = 1;
  for (size_t cut = 1; cut < bytes; cut++) {
    LaneKit lane;
    const auto first = lane.kit.client();
    const auto second = lane.kit.client();
    first->send(ask("Bearer a.b.c"));
    second->send(ask(kGoodToken));
    const std::vector<Question> asked = lane.awaitQuestions(2);
    const bool isFirst = asked[0].authorization == "Bearer a.b.c";
    const Question& bad = asked[isFirst ? 0 : 1];
    const Question& good = asked[isFirst ? 1 : 0];
    const std::string answers = answerTo(bad, kRefused) + answerTo(good, kPassed, "{\"x\":1}");
    bytes = answers.size();
    lane.answer(std::string_view(answers).substr(0, cut));
    lane.kit.loop.settle();
    lane.answer(std::string_view(answers).substr(cut));
    first->readAnswers(1);
    CHECK(first->received.starts_with("HTTP/1.1 401 "));
    CHECK(lane.kit.loop.runUntil([&] { return lane.kit.tokensAsked == 1; }));
    CHECK_EQUAL(lane.kit.waiting[0].verified, "{\"x\":1}");
    lane.kit.judgeAll();
    second->readAnswers(1);
    lane.kit.checkQuiet();
  }
}

// The thread has ended, stands still, or is none: the host is asked, and no request is lost.
void testLostLane() {
  const auto closed = [](LaneKit& lane, const Question& /*asked*/) { lane.closeEnd(); };
  const auto silent = [](LaneKit& lane, const Question& /*asked*/) {
    lane.kit.loop.advance(TokenLane::kSilenceMs + 2 * kTickMs);
  };
  const auto short1 = [](LaneKit& lane, const Question& /*asked*/) {
    lane.answer(std::string("\x03\0\0\0abc", 7));
  };
  const auto endless = [](LaneKit& lane, const Question& /*asked*/) {
    lane.answer(std::string("\xff\xff\xff\x7f", 4));
  };
  const auto unasked = [](LaneKit& lane, const Question& asked) {
    Question nobody = asked;
    nobody.connection = 1'000'000;
    // The first one is counted for the question; the second has none.
    lane.answer(answerTo(nobody, kPassed) + answerTo(nobody, kPassed));
  };
  const std::vector<std::function<void(LaneKit&, const Question&)>> ends{closed, silent, short1,
                                                                         endless, unasked};
  for (const auto& end : ends) {
    LaneKit lane;
    const auto client = lane.kit.client();
    client->send(ask(kGoodToken));
    const std::vector<Question> asked = lane.awaitQuestions(1);
    end(lane, asked[0]);
    CHECK(lane.kit.loop.runUntil([&] { return lane.kit.tokensAsked == 1; }));
    CHECK_EQUAL(lane.kit.lanesLost, 1U);
    lane.kit.judgeAll();
    client->readAnswers(1);
    CHECK(client->received.starts_with("HTTP/1.1 200 "));
    // Without a lane the host is asked at once; with the next one the thread is.
    client->send(ask("Bearer d.e.f"));
    CHECK(lane.kit.loop.runUntil([&] { return lane.kit.tokensAsked == 2; }));
    lane.kit.judgeAll();
    client->readAnswers(2);
    lane.openLane();
    client->send(ask("Bearer g.h.i"));
    const std::vector<Question> again = lane.awaitQuestions(1);
    lane.answer(answerTo(again[0], kRefused));
    client->readAnswers(3);
    CHECK_EQUAL(lane.kit.tokensAsked, 2U);
    lane.kit.checkQuiet();
  }
}

// A lane that is asked now and then is not taken for one that stands still.
void testSilenceWithoutQuestions() {
  LaneKit lane;
  const auto client = lane.kit.client();
  for (size_t round = 1; round <= 3; round++) {
    lane.kit.loop.advance(TokenLane::kSilenceMs + 100);
    client->send(ask("Bearer a.b.c"));
    const std::vector<Question> asked = lane.awaitQuestions(1);
    lane.kit.loop.advance(TokenLane::kSilenceMs - 100);
    lane.answer(answerTo(asked[0], kRefused));
    client->readAnswers(round);
  }
  CHECK_EQUAL(lane.kit.lanesLost, 0U);
  lane.kit.checkQuiet();
}

// Longer than the thread may be silent, shorter than a request waits.
constexpr uint64_t kStandstillMs = 4'000;
static_assert(kStandstillMs > TokenLane::kSilenceMs + TokenLane::kLateMs);

// A process that stood still has not read what the thread said meanwhile.
void testStandstillOfTheLoop() {
  LaneKit lane;
  const auto client = lane.kit.client();
  client->send(ask("Bearer a.b.c"));
  const std::vector<Question> asked = lane.awaitQuestions(1);
  lane.answer(answerTo(asked[0], kRefused));
  lane.kit.loop.jump(kStandstillMs);
  client->readAnswers(1);
  CHECK(client->received.starts_with("HTTP/1.1 401 "));
  CHECK_EQUAL(lane.kit.lanesLost, 0U);
  // A thread that stands still as well is found out behind it.
  client->send(ask("Bearer d.e.f"));
  lane.awaitQuestions(1);
  lane.kit.loop.jump(kStandstillMs);
  CHECK_EQUAL(lane.kit.lanesLost, 0U);
  lane.kit.loop.advance(TokenLane::kSilenceMs + 2 * kTickMs);
  CHECK_EQUAL(lane.kit.lanesLost, 1U);
  CHECK(lane.kit.loop.runUntil([&] { return lane.kit.tokensAsked == 1; }));
  lane.kit.judgeAll();
  client->readAnswers(2);
  lane.kit.checkQuiet();
}

// Who waits for a lane that is replaced, or that nobody serves, is judged all the same; and what
// the old one still says is nobody's.
void testReplacedAndClosed() {
  for (const bool isReplaced : {true, false}) {
    LaneKit lane;
    const auto client = lane.kit.client();
    client->send(ask(kGoodToken));
    const std::vector<Question> asked = lane.awaitQuestions(1);
    if (isReplaced) {
      lane.openLane();
      const std::vector<Question> again = lane.awaitQuestions(1);
      CHECK(again[0].generation != asked[0].generation);
      lane.answer(answerTo(asked[0], kRefused));
      lane.kit.loop.settle();
      CHECK(client->received.empty());
    } else {
      lane.kit.front->closeTokenLane();
    }
    if (isReplaced) lane.kit.front->closeTokenLane();
    CHECK(lane.kit.loop.runUntil([&] { return lane.kit.tokensAsked == 1; }));
    CHECK_EQUAL(lane.kit.lanesLost, 0U);
    lane.kit.judgeAll();
    client->readAnswers(1);
    CHECK(client->received.starts_with("HTTP/1.1 200 "));
    lane.kit.checkQuiet();
  }
}

// More bytes than the socket holds wait here, and no more than that.
void testUnsentBytes() {
  constexpr size_t kTokenBytes = size_t{12} * 1024;
  LaneKit lane;
  std::vector<std::unique_ptr<FrontClient>> clients;
  for (size_t index = 0; index < TokenLane::kTokensMax / 2; index++) {
    clients.push_back(lane.kit.client());
    clients.back()->send(ask("Bearer " + std::string(kTokenBytes, 'x')));
    lane.kit.loop.settle();
  }
  const size_t least = TokenLane::kUnsentBytesMax / (kTokenBytes + 64);
  std::vector<Question> asked = lane.awaitQuestions(least);
  lane.kit.loop.settle();
  for (Question& one : lane.questions()) asked.push_back(std::move(one));
  CHECK(asked.size() < clients.size());
  std::string answers;
  for (const Question& one : asked) {
    CHECK_EQUAL(one.authorization.size(), kTokenBytes + 7);
    answers += answerTo(one, kRefused);
  }
  lane.answer(answers);
  size_t refused = 0;
  for (const auto& client : clients) {
    client->readAnswers(1);
    if (client->received.starts_with("HTTP/1.1 401 ")) refused++;
  }
  CHECK_EQUAL(refused, asked.size());
  lane.kit.checkQuiet();
}

// Who waits beyond the bound is told so at once; who left is not missed.
void testBounds() {
  LaneKit lane;
  std::vector<std::unique_ptr<FrontClient>> clients;
  for (size_t index = 0; index < TokenLane::kTokensMax; index++) {
    clients.push_back(lane.kit.client());
    clients.back()->send(ask("Bearer a.b." + std::to_string(index)));
  }
  const std::vector<Question> asked = lane.awaitQuestions(TokenLane::kTokensMax);
  const auto late = lane.kit.client();
  late->send(ask("Bearer too.many.tokens"));
  late->readAnswers(1);
  CHECK(late->received.starts_with("HTTP/1.1 503 "));
  clients.clear();
  lane.kit.loop.settle();
  std::string answers;
  for (const Question& one : asked) answers += answerTo(one, kPassed, "{}");
  lane.answer(answers);
  lane.kit.loop.settle();
  CHECK_EQUAL(lane.kit.tokensAsked, 0U);
  late->send(ask("Bearer d.e.f"));
  const std::vector<Question> again = lane.awaitQuestions(1);
  lane.answer(answerTo(again[0], kRefused));
  late->readAnswers(2);
  lane.kit.checkQuiet();
}

// The host may end all while it is told.
void testHostEndsTheFront() {
  for (const bool isLost : {false, true}) {
    LaneKit lane;
    lane.kit.verdict = FrontKit::Verdict::kEnd;
    lane.kit.endsWithLane = isLost;
    const auto first = lane.kit.client();
    const auto second = lane.kit.client();
    first->send(ask("Bearer a.b.c"));
    second->send(ask("Bearer d.e.f"));
    const std::vector<Question> asked = lane.awaitQuestions(2);
    if (isLost) {
      lane.closeEnd();
    } else {
      lane.answer(answerTo(asked[0], kPassed, "{}") + answerTo(asked[1], kPassed, "{}"));
    }
    CHECK(lane.kit.loop.runUntil([&] { return !lane.kit.front.has_value(); }));
    CHECK_EQUAL(lane.kit.tokensAsked, isLost ? 0U : 1U);
    lane.kit.loop.settle();
  }
}

}  // namespace

int main() {
  testRefusedByTheThread();
  testUndecided();
  testWhatWasGoodTakesNoLane();
  testPassedOnWithWhatItSays();
  testProofIsKept();
  testOtherTrustProvesNothing();
  testAnswersInPieces();
  testLostLane();
  testSilenceWithoutQuestions();
  testStandstillOfTheLoop();
  testReplacedAndClosed();
  testUnsentBytes();
  testBounds();
  testHostEndsTheFront();
  return finishChecks();
}
