// An engine on the test loop with a door that writes down what it is told.
//
// `Relay` owns loop, engine and door; replicas are made by the tests on its loop and must die
// before it. Every rule that holds for all exchanges is checked here once: one end or one failure,
// nothing after it, no call of the door from inside its own call.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/shared_block.h"
#include "net/engine.h"
#include "test/net/epoll_loop.h"
#include "test/net/fake_replica.h"

namespace pointsman::test {

// What the door learned about one exchange.
struct Client {
  Exchange* exchange = nullptr;
  uint32_t heads = 0;
  uint32_t ends = 0;
  uint32_t failures = 0;
  uint32_t drains = 0;
  uint32_t events = 0;
  int status = 0;
  int64_t contentLength = -2;
  bool bodyAllowed = false;
  bool headRelayed = false;
  Failure failure = Failure::kNone;
  std::string fields{};
  std::string body{};
  size_t eventBytesMax = 0;
  // Hooks run inside the door's call, after the record is written.
  std::function<void(const AnswerEvent&)> onAnswer{};
  std::function<void()> onOver{};
  std::function<void()> onDrain{};

  bool isOver() const { return ends + failures > 0; }
};

class RecordingDoor final : public Door {
 public:
  void onAnswer(Exchange& exchange, const AnswerEvent& event) noexcept override;
  void onFailure(Exchange& exchange, Failure failure, bool headRelayed) noexcept override;
  void onRequestDrain(Exchange& exchange) noexcept override;
  void onClaimDoubtful(Exchange& exchange) noexcept override { exchange.proceed(); }

  // From now on the exchange's events go to the client.
  void bind(Exchange& exchange, Client& client);
  // The client left: any event from now on is an error.
  void unbind(Exchange& exchange) { clients_.erase(exchange.id()); }
  void setInCall(bool isInCall) { isInCall_ = isInCall; }

 private:
  Client* clientOf(Exchange& exchange);
  static void record(Client& client, const AnswerEvent& event);

  std::map<uint32_t, Client*> clients_;
  bool isInCall_ = false;
};

struct Request {
  std::string method = "POST";
  std::string query{};
  std::string fields{};
  std::string body{};
  // -2: the length of `body`.
  int64_t contentLength = -2;
  bool last = true;
};

struct Target {
  std::string host;
  uint16_t port = 0;
  bool ready = true;
};

inline Target targetOf(const FakeReplica& replica) {
  return {.host = replica.host(), .port = replica.port()};
}
inline Target targetOf(const RefusingPort& refusing) {
  return {.host = "127.0.0.1", .port = refusing.port()};
}

// A column of no worker: as sparse as the shared one.
class LocalColumn {
 public:
  LocalColumn();
  ~LocalColumn();
  LocalColumn(const LocalColumn&) = delete;
  LocalColumn& operator=(const LocalColumn&) = delete;
  Column* operator->() const noexcept { return column_; }
  Column& operator*() const noexcept { return *column_; }

 private:
  Column* column_;
};

class Relay {
 public:
  Relay();

  EpollLoop loop;
  std::vector<char> readBuffer;
  RecordingDoor door;
  // Outlive the engine, which counts in the column to its end.
  ControlPage control{};
  LocalColumn column;
  EntityStats& stats = column->entities[0];
  std::optional<Engine> engine;
  // Change its settings before `start`.
  Ref<DeploymentSpec> spec;
  Limit entityLimit;

  void setTargets(const std::vector<Target>& targets);
  // Over at once when there is no exchange to be had.
  Client& start(const Request& request = {});
  size_t sendBody(Client& client, std::string_view body, bool last);
  void cancel(Client& client);
  // Runs until the exchange is over; a check fails when it never is.
  void finish(Client& client);
  // start and finish.
  Client& fetch(const Request& request = {});
  // With whatever is in flight. References to addresses go first: they close their idle connections
  // through it.
  void destroyEngine();
  // Nothing is left in flight, by any count.
  void checkQuiet();

  Address& address(size_t index) {
    return *spec->addresses->entry(static_cast<uint32_t>(index)).address;
  }
  ConnectionPool& pool(size_t index = 0) { return address(index).pool(); }

 private:
  Client& newClient();

  std::deque<Client> clients_;
  // Slot of every address that was ever a target, so that no two share one.
  std::map<std::string, uint32_t> slots_;
};

// Descriptors that this process has open.
size_t openDescriptors();

constexpr std::string_view kOk = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

// Answers whole requests with kOk: a thousand on a connection, for ever on new ones.
ReplicaScript okForever();

}  // namespace pointsman::test
