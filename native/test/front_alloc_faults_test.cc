// Every allocation that the front makes for its clients, its exchanges and its JS door fails once,
// at every place where it is made, and then all from that place on. Whatever happens: each request
// is answered in its order, by what it asked for or by 503, or its connection ends; nobody gets
// another's answer; nothing hangs, nothing is left, and the next client is served by the same
// front.
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <string>
#include <string_view>
#include <vector>

#include "test/check.h"
#include "test/failing_new.h"
#include "test/net/faults.h"
#include "test/net/front_kit.h"
#include "test/net/seen.h"

namespace {

using namespace pointsman;        // NOLINT: the code under test
using namespace pointsman::test;  // NOLINT: its kit

constexpr int kTurnsMax = 6'000;
constexpr size_t kReadBytes = size_t{64} * 1024;

// One message and what its answer says when nothing fails.
struct Message {
  std::string bytes;
  int status;
  std::string body;
};

// A client that sends all its messages at once, or in pieces, and reads their answers.
struct Talk {
  std::vector<Message> messages;
  // Bytes a turn; 0: as many as are taken.
  size_t pieceBytes = 0;
  // Reads nothing for so many turns.
  int readsAfterTurns = 0;
  int fd = -1;
  std::string out{};
  std::string_view unsent{};
  std::string in{};
  std::string_view rest{};
  std::vector<Answer> answers{};
  bool isOpened = false;
  bool isEnded = false;

  bool isOver() const { return isEnded || answers.size() == messages.size(); }
};

class Scene {
 public:
  // Talks at the same time to their ends.
  void hold(std::vector<Talk> talks) {
    for (Talk& talk : talks) open(talk);
    const auto isUnderWay = [](const Talk& talk) { return !talk.isOver(); };
    for (int turns = 0; turns < kTurnsMax && std::ranges::any_of(talks, isUnderWay); turns++) {
      for (Talk& talk : talks) step(talk, turns);
      turn();
      if (turns % 8 == 7) judgeAll();
    }
    for (Talk& talk : talks) check(talk);
    CHECK(kit.loop.runUntil([this] { return kit.clientsClosed == opened_; }));
  }

  FrontKit kit;
  // Talks that a fault reached.
  uint32_t disturbed = 0;
  uint32_t refused = 0;
  // Those that were ended without a word, or a part of one, about the request that was next.
  uint32_t silenced = 0;

 private:
  void open(Talk& talk) {
    int ends[2];
    CHECK_EQUAL(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends), 0);
    sockaddr_storage peer{};
    peer.ss_family = AF_INET6;
    talk.fd = ends[0];
    for (const Message& message : talk.messages) talk.out += message.bytes;
    talk.unsent = talk.out;
    const FaultsResumed on;
    talk.isOpened = kit.front->open(ends[1], peer);
    talk.isEnded = !talk.isOpened;
    opened_ += talk.isOpened ? 1 : 0;
  }

  static void step(Talk& talk, int turns) {
    if (talk.isOver()) return;
    if (!talk.unsent.empty()) {
      const std::string_view piece =
          talk.unsent.substr(0, talk.pieceBytes == 0 ? SIZE_MAX : talk.pieceBytes);
      const ssize_t sent = ::send(talk.fd, piece.data(), piece.size(), MSG_NOSIGNAL);
      if (sent > 0) talk.unsent.remove_prefix(static_cast<size_t>(sent));
    }
    if (turns < talk.readsAfterTurns) return;
    std::array<char, kReadBytes> buffer{};
    const ssize_t got = ::recv(talk.fd, buffer.data(), buffer.size(), 0);
    if (got > 0) talk.in.append(buffer.data(), static_cast<size_t>(got));
    talk.isEnded = got == 0 || (got < 0 && errno != EAGAIN);
    if (got > 0 || talk.isEnded) talk.answers = splitAnswers(talk.in, talk.rest);
  }

  void turn() {
    const FaultsResumed on;
    kit.loop.turn(0);
  }

  void judgeAll() {
    const FaultsResumed on;
    kit.judgeAll();
  }

  void check(Talk& talk) {
    CHECK(talk.isOver());
    uint32_t faulty = 0;
    for (size_t i = 0; i < talk.answers.size(); i++) {
      const Answer& answer = talk.answers[i];
      const Message& message = talk.messages[i];
      const bool isOwn =
          answer.status == message.status && (message.body.empty() || answer.body == message.body);
      const bool isInvocation = message.bytes.starts_with("POST") && message.status == 200;
      CHECK(!isOwn || !isInvocation ||
            answer.fields.find("served-model-name: entity-") != std::string::npos);
      faulty += isOwn ? 0 : 1;
      CHECK(isOwn || answer.status == 503);
      CHECK(isOwn || answer.fields.find("CODE_29") != std::string::npos);
    }
    const bool isShort = talk.answers.size() < talk.messages.size();
    disturbed += faulty > 0 || isShort ? 1 : 0;
    refused += faulty;
    silenced += talk.isOpened && isShort && faulty == 0 && talk.rest.empty() ? 1 : 0;
    close(talk.fd);
  }

  uint32_t opened_ = 0;
};

std::string patternOf(size_t size) {
  std::string text(size, ' ');
  for (size_t i = 0; i < size; i++) text[i] = static_cast<char>('a' + i % 23);
  return text;
}

const std::string& largeBody() {
  static const std::string kBody = patternOf(400'000);
  return kBody;
}

// Else it would be another for every request.
constexpr std::string_view kId = "X-Request-Id: r\r\n";

Message get(std::string_view fields = {}) {
  return {
      "GET /healthz?a=b HTTP/1.1\r\nHost: a\r\n" + std::string(kId) + std::string(fields) + "\r\n",
      200, "ok"};
}

Message ask(std::string_view endpoint, std::string_view body, std::string_view fields = {}) {
  return {post(endpoint, body, std::string(kId) + std::string(fields)), 200, "ok"};
}

void answersInARow(Scene& scene) {
  scene.hold({{.messages = {ask("a", "{}"),
                            get(),
                            {post("missing", "{}"), 404, {}},
                            {"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n", 200, {}},
                            ask("a", "2\r\n{}\r\n0\r\n\r\n", "Transfer-Encoding: chunked\r\n"),
                            {post("a", "{}", "Authorization: Bearer bad\r\n"), 401, {}},
                            ask("a", "[]")}}});
}

void readsHeadsInPieces(Scene& scene) {
  const std::string long1 = "X-Long: " + std::string(3'000, 'l') + "\r\n";
  const std::string long2 = "X-Longer:" + std::string(9'000, 'l') + " \r\n";
  scene.hold({{.messages = {ask("a", "{}", long1)}, .pieceBytes = 700}});
  scene.hold({{.messages = {ask("a", "{}", long1 + long2)}}});
  scene.hold({{.messages = {get(long2)}, .pieceBytes = 2'000}});
}

// Fields of which JS gets a copy in hexadecimal.
void writesFieldsAnew(Scene& scene) {
  scene.hold(
      {{.messages = {get("X-A:1\r\nX.B: 2\r\nX-C: \xe9" + std::string(500, 'c') + "\r\n")}}});
}

void sendsLargeBodies(Scene& scene) {
  scene.kit.big.play({readSlowly(70'000), waitRequest(), send(kOk), waitRequest(), send(kOk)});
  std::string chunks;
  for (int i = 0; i < 4; i++) chunks += "c350\r\n" + std::string(50'000, 'c') + "\r\n";
  scene.hold({{.messages = {ask("big", std::string(300'000, 'b'))}}});
  scene.hold({{.messages = {ask("big", chunks + "0\r\n\r\n", "Transfer-Encoding: chunked\r\n")}}});
}

// What the client does not take waits for it.
void keepsLargeAnswers(Scene& scene) {
  const std::string head = "HTTP/1.1 200 OK\r\ncontent-length: 400000\r\n\r\n";
  scene.kit.big.play({waitRequest(), send(head + largeBody())});
  scene.hold({{.messages = {{post("big", "{}", kId), 200, largeBody()}}, .readsAfterTurns = 40}});
}

// Bodies, and requests behind them, come before the verdict.
void waitsForVerdicts(Scene& scene) {
  scene.kit.verdict = FrontKit::Verdict::kLater;
  scene.hold({{.messages = {ask("a", std::string(20'000, 'v')), ask("a", "{}")}}});
  scene.hold({{.messages = {ask("a", std::string(2'000, 'v'))}, .pieceBytes = 300}});
}

void servesManyAtOnce(Scene& scene) {
  std::vector<Talk> talks;
  for (int i = 0; i < 12; i++) talks.push_back({.messages = {i % 2 == 0 ? ask("a", "{}") : get()}});
  scene.hold(std::move(talks));
}

struct Script {
  const char* name;
  void (*run)(Scene&);
  // Requests in a row: those behind one whose bytes are lost are not answered.
  bool isPipelined = false;
};

constexpr Script kScripts[] = {
    {"answers in a row", answersInARow, true}, {"heads in pieces", readsHeadsInPieces},
    {"fields for JS", writesFieldsAnew},       {"large bodies", sendsLargeBodies},
    {"large answers", keepsLargeAnswers},      {"verdicts", waitsForVerdicts, true},
    {"many at once", servesManyAtOnce},
};

// Runs in which some client saw the fault.
uint32_t disturbedRuns = 0;  // NOLINT: the test's own count

// Answers how many allocations the script makes for its requests, failed ones among them. `nth` 0:
// none fails.
uint32_t failsAt(const Script& script, Seen& seen, uint32_t nth, bool isLasting) {
  const size_t descriptors = openDescriptors();
  const uint64_t reported = failureCount;
  uint32_t allocations = 0;
  {
    Scene scene;
    setFault("allocation", nth, ENOMEM, isLasting);
    script.run(scene);
    allocations = faultCalls();
    clearFaults();
    for (FakeReplica* replica : {&scene.kit.a, &scene.kit.big, &scene.kit.local}) {
      seen.noteRequestsOf(*replica);
    }
    disturbedRuns += scene.disturbed > 0 ? 1 : 0;
    if (!isLasting) {
      CHECK(scene.disturbed <= 1);
      CHECK(scene.refused <= 1);
    }
    // For a refusal there is always memory.
    CHECK(scene.silenced == 0 || script.isPipelined);
    scene.kit.checkQuiet();
    const uint32_t disturbed = scene.disturbed;
    scene.hold({{.messages = {ask("a", "{}"), get(), {post("missing", "{}"), 404, {}}}}});
    CHECK_EQUAL(scene.disturbed, disturbed);
    scene.kit.loop.advance(kLingerMs + 200);
    scene.kit.checkQuiet();
  }
  CHECK_EQUAL(openDescriptors(), descriptors);
  CHECK_EQUAL(infallibleAllocations, 0U);
  if (failureCount > reported) {
    std::cerr << "in " << script.name << ", allocation " << nth << (isLasting ? " and on\n" : "\n");
  }
  return allocations;
}

}  // namespace

int main() {
  const FaultsSuspended own;
  for (const Script& script : kScripts) {
    Seen seen;
    disturbedRuns = 0;
    const uint32_t allocations = failsAt(script, seen, 0, false);
    CHECK_EQUAL(disturbedRuns, 0U);
    seen.startChecking();
    std::cout << script.name << ": " << allocations << " allocations\n";
    for (const bool isLasting : {false, true}) {
      uint32_t nth = 1;
      while (failsAt(script, seen, nth, isLasting) >= nth) nth++;
      CHECK(nth > allocations);
    }
    // They did fail, and that was seen: no answer does without the memory that it asks for.
    CHECK(disturbedRuns >= 2 * allocations);
  }
  return finishChecks();
}
