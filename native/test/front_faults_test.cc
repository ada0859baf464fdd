// Every call of the front, its exchanges and its JS door that may fail does so once, at every place
// where it is made, with every errno that matters. Whatever happens: each request is answered in
// its order, or its connection ends; nobody gets another's answer; nothing hangs and nothing is
// left.
#include <array>
#include <cerrno>
#include <string>
#include <string_view>
#include <vector>

#include "test/check.h"
#include "test/net/faults.h"
#include "test/net/front_kit.h"

namespace {

using namespace pointsman;        // NOLINT: the code under test
using namespace pointsman::test;  // NOLINT: its kit

// Beyond this many calls of a kind the scenario does nothing that it has not done before.
constexpr uint32_t kCallsMax = 90;

struct Fault {
  const char* call;
  std::vector<int> errors;
};

const std::vector<Fault>& faults() {
  static const std::vector<Fault> kFaults = {
      {"socket", {EMFILE, ENOMEM}},
      {"connect", {ECONNREFUSED, EADDRNOTAVAIL, EINTR}},
      {"watch", {ENOMEM}},
      {"sendmsg", {EAGAIN, EINTR, EPIPE, ECONNRESET, ENOBUFS}},
      // Not EAGAIN and EINTR: a read that does not block says neither while there is something.
      {"recv", {ECONNRESET, ENOMEM}},
  };
  return kFaults;
}

// One message and what its answer says when nothing fails.
struct Message {
  std::string bytes;
  int status;
  std::string body;
};

class Scenario {
 public:
  Scenario() {
    std::string large(300'000, ' ');
    for (size_t i = 0; i < large.size(); i++) large[i] = static_cast<char>('a' + i % 23);
    const std::string head =
        "HTTP/1.1 200 OK\r\ncontent-length: " + std::to_string(large.size()) + "\r\n\r\n";
    for (int i = 0; i < 3; i++) {
      kit_.big.play({waitRequest(), send(head + large), waitRequest(), send(head + large)});
    }
    kit_.verdict = FrontKit::Verdict::kAtOnce;
    const std::string get = "GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n";
    const std::string chunks = "2\r\n{}\r\n0\r\n\r\n";
    converse({{post("a", "{}"), 200, "ok"},
              {get, 200, "ok"},
              {post("big", "{}"), 200, large},
              {post("missing", "{}"), 404, {}},
              {post("a", chunks, "Transfer-Encoding: chunked\r\n"), 200, "ok"}});
    converse({{get, 200, "ok"},
              {post("a", "{}", "Authorization: Bearer bad\r\n"), 401, {}},
              {post("a", std::string(150'000, 'y')), 200, "ok"},
              {"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n", 200, {}}});
    converse({{"GARBAGE\r\n\r\n", 400, {}}});
    kit_.loop.advance(kLingerMs + 200);
    kit_.checkQuiet();
    CHECK_EQUAL(kit_.clientsClosed, clients_);
  }

  uint32_t answered = 0;
  uint32_t waits = 0;

 private:
  // All messages at once on one connection. Answers that came are those of the first ones, and only
  // the last of them may be another than without a fault, because a fault ends what it hits.
  void converse(const std::vector<Message>& messages) {
    int ends[2];
    CHECK_EQUAL(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends), 0);
    sockaddr_storage peer{};
    peer.ss_family = AF_INET;
    if (!kit_.front->open(ends[1], peer)) {
      close(ends[0]);
      return;
    }
    clients_++;
    const uint32_t closedBefore = kit_.clientsClosed;
    std::string out;
    for (const Message& message : messages) out += message.bytes;
    std::string in;
    bool isEnded = false;
    std::string_view unsent = out;
    std::string_view rest;
    std::vector<Answer> answers;
    for (int turns = 0; turns < 4'000 && !isEnded && answers.size() < messages.size(); turns++) {
      exchangeBytes(ends[0], unsent, in, isEnded);
      answers = splitAnswers(in, rest);
      if (kit_.loop.turn(0)) continue;
      // Nothing moves by itself: what was lost to a fault is found by a timer.
      if (turns > 20) {
        kit_.loop.advance(kTickMs * 5);
        waits++;
      }
    }
    CHECK(isEnded || answers.size() == messages.size());
    check(messages, answers);
    close(ends[0]);
    CHECK(kit_.loop.runUntil([&] { return kit_.clientsClosed > closedBefore; }));
  }

  static void exchangeBytes(int fd, std::string_view& unsent, std::string& in, bool& isEnded) {
    if (!unsent.empty()) {
      const ssize_t sent = ::send(fd, unsent.data(), unsent.size(), MSG_NOSIGNAL);
      if (sent > 0) unsent.remove_prefix(static_cast<size_t>(sent));
    }
    std::array<char, 65'536> buffer{};
    const ssize_t got = ::recv(fd, buffer.data(), buffer.size(), 0);
    if (got > 0) in.append(buffer.data(), static_cast<size_t>(got));
    isEnded = got == 0 || (got < 0 && errno != EAGAIN);
  }

  void check(const std::vector<Message>& messages, const std::vector<Answer>& answers) {
    uint32_t faulty = 0;
    for (size_t i = 0; i < answers.size() && i < messages.size(); i++) {
      const bool isOwn = answers[i].status == messages[i].status &&
                         (messages[i].body.empty() || answers[i].body == messages[i].body);
      // 500, 502, 503: the relay behind it failed.
      faulty += isOwn ? 0 : 1;
      CHECK(isOwn || answers[i].status >= 500);
      answered += isOwn ? 1 : 0;
    }
    CHECK(faulty <= 1);
  }

  FrontKit kit_;
  uint32_t clients_ = 0;
};

}  // namespace

int main() {
  constexpr uint32_t kMessages = 10;
  {
    const Scenario undisturbed;
    CHECK_EQUAL(undisturbed.answered, kMessages);
    CHECK_EQUAL(undisturbed.waits, 0U);
  }
  const size_t descriptors = openDescriptors();
  for (const Fault& fault : faults()) {
    for (const int error : fault.errors) {
      uint32_t calls = 1;
      for (uint32_t nth = 1; nth <= calls; nth++) {
        const uint64_t failures = failureCount;
        setFault(fault.call, nth, error);
        const uint32_t answered = Scenario().answered;
        calls = std::min(faultCalls(), kCallsMax);
        clearFaults();
        // One connection at most is lost, with all that was asked on it.
        CHECK(answered >= kMessages - 5);
        CHECK_EQUAL(openDescriptors(), descriptors);
        if (failureCount > failures) {
          std::cerr << "in " << fault.call << ' ' << nth << " errno " << error << '\n';
        }
      }
    }
  }
  return finishChecks();
}
