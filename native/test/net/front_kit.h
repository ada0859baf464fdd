// A front on the test loop: an engine with one active revision, a JS door played by a fake replica,
// a host that judges tokens as the test says, and clients that are one end of a socket pair.
//
//   endpoint `a`  -> replica a, which answers kOk      endpoint `none` -> nothing
//   endpoint `big` -> replica big, which the test scripts
//   any other path -> the local replica
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "front/front.h"
#include "test/net/fake_replica.h"
#include "test/net/relay.h"

namespace pointsman::test {

inline constexpr std::string_view kGoodToken = "Bearer good";

// The client's end of a connection; closed with the object.
class FrontClient {
 public:
  FrontClient(EpollLoop& loop, Front& front);
  ~FrontClient() { leave(); }
  FrontClient(const FrontClient&) = delete;
  FrontClient& operator=(const FrontClient&) = delete;

  // Sends as the front takes it.
  void send(std::string_view bytes);
  // What has come so far; false once the front has closed.
  bool read(size_t bytesMax = SIZE_MAX);
  bool receivedAll(std::string_view ending);
  // Runs until the front closes its side.
  void readToEnd();
  // Until `count` answers are there whole.
  void readAnswers(size_t count);
  void leave();
  void reset();

  std::string received{};
  bool isEnded = false;

 private:
  EpollLoop& loop_;
  int fd_ = -1;
};

struct Answer {
  int status = 0;
  std::string fields{};
  std::string body{};
};

// The whole answers at the start of `bytes`; the rest is what is left of them.
std::vector<Answer> splitAnswers(std::string_view bytes, std::string_view& rest);

class FrontKit final : private Connector, private FrontHost {
 public:
  // kEnd: the host has no answer, but destroys the front.
  enum class Verdict : uint8_t { kAtOnce, kLater, kEnd };

  explicit FrontKit(bool fastPath = true);
  ~FrontKit();
  FrontKit(const FrontKit&) = delete;
  FrontKit& operator=(const FrontKit&) = delete;

  EpollLoop loop;
  FakeReplica a{loop};
  FakeReplica big{loop};
  FakeReplica local{loop};
  std::vector<char> readBuffer;
  ControlPage control{};
  LocalColumn column;
  std::optional<Engine> engine;
  TokenCache tokens{7};
  std::optional<Front> front;
  Verdict verdict = Verdict::kAtOnce;
  uint32_t tokensAsked = 0;
  uint32_t clientsClosed = 0;
  uint32_t lanesLost = 0;
  // The host destroys the front when it hears that the lane is lost.
  bool endsWithLane = false;
  struct Waiting {
    uint32_t connection;
    uint32_t generation;
    bool isGood;
    std::string verified;
  };
  std::vector<Waiting> waiting{};

  std::unique_ptr<FrontClient> client() { return std::make_unique<FrontClient>(loop, *front); }
  // One connection, sends all, and reads `answers` answers.
  std::vector<Answer> ask(std::string_view bytes, size_t answers = 1);
  // The verdict on every token that waits for one.
  void judgeAll();
  void rememberGoodToken();
  // Nothing is in flight, and only the replicas' own watches and idle connections are left.
  void checkQuiet();

 private:
  int connect() noexcept override;
  void onUnknownToken(uint32_t connection, uint32_t generation,
                      std::string_view verified) noexcept override;
  void onTokenLaneLost() noexcept override;
  void onClientClosed() noexcept override { clientsClosed++; }
};

// A request line and its fields; `Authorization` is the good one unless `fields` has another.
std::string post(std::string_view endpoint, std::string_view body, std::string_view fields = {});

}  // namespace pointsman::test
