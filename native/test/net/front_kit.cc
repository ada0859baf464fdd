#include "test/net/front_kit.h"

#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <charconv>

#include "net/sys.h"
#include "test/check.h"
#include "test/net/faults.h"

namespace pointsman::test {

namespace {

RefusalTexts refusalTexts() {
  RefusalTexts texts;
  constexpr std::array<int, kRefusals> kStatuses{400, 501, 501, 401, 401, 403, 403, 503, 404, 404,
                                                 405, 413, 503, 408, 408, 503, 503, 504, 400, 502,
                                                 503, 500, 429, 429, 429, 429, 429, 429, 431, 503};
  for (size_t index = 0; index < kRefusals; index++) {
    texts[index].status = kStatuses[index];
    texts[index].code = "CODE_" + std::to_string(index);
    texts[index].body = R"({"message":"{endpoint} {served} {reason}"})";
  }
  texts[static_cast<size_t>(Refusal::kMethodNotAllowed)].allow = "POST";
  texts[static_cast<size_t>(Refusal::kUnauthenticated)].challenge = "Bearer";
  texts[static_cast<size_t>(Refusal::kNoReadyAddress)].retryAfterS = 2;
  return texts;
}

Ref<DeploymentSpec> deploymentTo(Engine& engine, const std::string& name,
                                 const FakeReplica& replica, uint32_t slot) {
  auto spec = makeRef<DeploymentSpec>();
  spec->name = name;
  spec->protocol = Protocol::kMlflow;
  spec->connectMs = 1'000;
  spec->responseHeaderMs = 5'000;
  spec->bodyIdleMs = 60'000;
  spec->keepaliveIdleMs = 4'000;
  spec->addresses = engine.addressSet(name, Protocol::kMlflow);
  CHECK_EQUAL(spec->addresses->update(engine, {{.host = replica.host(),
                                                .port = replica.port(),
                                                .authority = "replica.test",
                                                .basePath = "",
                                                .weight = 1,
                                                .ready = true,
                                                .statsSlot = slot}}),
              std::string());
  return spec;
}

void addEndpoint(RoutingTable& table, const std::string& name, uint32_t slot,
                 Ref<DeploymentSpec> deployment, EndpointAccess access = {}) {
  std::vector<EntityTarget> entities;
  entities.push_back({.name = "entity-" + name,
                      .statsSlot = slot,
                      .limit = {},
                      .deployment = std::move(deployment)});
  std::optional<AliasTable> split = AliasTable::build(std::vector<uint32_t>{1'000'000});
  table.endpoints().set(
      name, makeRef<EndpointRoutes>(std::move(*split), std::move(entities), std::move(access)));
}

}  // namespace

FrontClient::FrontClient(EpollLoop& loop, Front& front) : loop_(loop) {
  int ends[2];
  CHECK_EQUAL(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends), 0);
  sockaddr_storage peer{};
  peer.ss_family = AF_INET;
  CHECK(front.open(ends[1], peer));
  fd_ = ends[0];
}

void FrontClient::send(std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t sent = ::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (sent > 0) {
      bytes.remove_prefix(static_cast<size_t>(sent));
    } else if (errno != EAGAIN) {
      return;
    } else if (!loop_.turn(1) && !read()) {
      return;
    }
  }
}

bool FrontClient::read(size_t bytesMax) {
  std::array<char, 65'536> buffer{};
  while (!isEnded && bytesMax > 0) {
    const ssize_t got = recv(fd_, buffer.data(), std::min(buffer.size(), bytesMax), 0);
    if (got < 0 && errno == EAGAIN) break;
    if (got <= 0) {
      isEnded = true;
      break;
    }
    received.append(buffer.data(), static_cast<size_t>(got));
    bytesMax -= static_cast<size_t>(got);
  }
  return !isEnded;
}

void FrontClient::readToEnd() {
  CHECK(loop_.runUntil([this] { return !read(); }));
}

void FrontClient::readAnswers(size_t count) {
  CHECK(loop_.runUntil([this, count] {
    read();
    std::string_view rest;
    return isEnded || splitAnswers(received, rest).size() >= count;
  }));
}

void FrontClient::leave() {
  if (fd_ >= 0) close(fd_);
  fd_ = -1;
}

std::vector<Answer> splitAnswers(std::string_view bytes, std::string_view& rest) {
  std::vector<Answer> answers;
  for (;;) {
    rest = bytes;
    const size_t headEnd = bytes.find("\r\n\r\n");
    if (headEnd == std::string_view::npos) return answers;
    const std::string_view head = bytes.substr(0, headEnd + 2);
    Answer answer;
    answer.status = std::stoi(std::string(bytes.substr(9, 3)));
    answer.fields = head.substr(head.find('\n') + 1);
    bytes.remove_prefix(headEnd + 4);
    const size_t length = head.find("content-length: ");
    if (length != std::string_view::npos) {
      const size_t size = std::stoul(std::string(head.substr(length + 16)));
      if (bytes.size() < size) return answers;
      answer.body = bytes.substr(0, size);
      bytes.remove_prefix(size);
    } else if (head.find("transfer-encoding: chunked") != std::string_view::npos) {
      for (;;) {
        const size_t lineEnd = bytes.find("\r\n");
        if (lineEnd == std::string_view::npos) return answers;
        size_t size = 0;
        std::from_chars(bytes.data(), bytes.data() + lineEnd, size, 16);
        if (bytes.size() < lineEnd + 2 + size + 2) return answers;
        answer.body.append(bytes.substr(lineEnd + 2, size));
        bytes.remove_prefix(lineEnd + 2 + size + 2);
        if (size == 0) break;
      }
    }
    answers.push_back(std::move(answer));
  }
}

FrontKit::FrontKit(bool fastPath)
    : readBuffer(kReadBufferBytes),
      engine(std::in_place, loop, Xoshiro256pp(7), std::span<char>(readBuffer), control, *column,
             AdmissionPeers{.columns = {limitColumn(*column)}}) {
  a.play(okForever());
  local.play(okForever());
  auto table = makeRef<RoutingTable>(1);
  addEndpoint(*table, "a", 0, deploymentTo(*engine, "a", a, 0));
  addEndpoint(*table, "big", 1, deploymentTo(*engine, "big", big, 1));
  addEndpoint(*table, "none", 2, {});
  addEndpoint(*table, "guarded", 3, deploymentTo(*engine, "a", a, 0),
              {.id = "id-g", .readers = {1, 7, 30}, .routeOptimized = true});
  engine->prepare({.table = std::move(table), .addresses = {}});
  control.activeRevision.store(1);
  Connector& connector = *this;
  FrontHost& host = *this;
  front.emplace(*engine, connector, host, tokens,
                FrontSettings{.workspaceId = "1",
                              .servingDomain = "serving.test",
                              .authRequired = true,
                              .fastPath = fastPath,
                              .requestBytesMax = 1'000'000,
                              .headBytesMax = 16'384,
                              .refusals = refusalTexts()});
}

FrontKit::~FrontKit() {
  front.reset();
  engine.reset();
}

int FrontKit::connect() noexcept {
  const int fd = sys::socket(AF_INET);
  if (fd < 0) return -1;
  sockaddr_in to{};
  to.sin_family = AF_INET;
  to.sin_port = htons(local.port());
  to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  const int done =
      sys::connect(fd, reinterpret_cast<sockaddr*>(&to), sizeof to);  // NOLINT: its idiom
  if (done == 0 || errno == EINPROGRESS) return fd;
  close(fd);
  return -1;
}

void FrontKit::onUnknownToken(uint32_t connection, uint32_t generation,
                              std::string_view verified) noexcept {
  tokensAsked++;
  {
    const FaultsSuspended own;
    const bool isGood = front->authorizationOf(connection, generation) == kGoodToken;
    waiting.push_back({connection, generation, isGood, std::string(verified)});
  }
  if (verdict == Verdict::kAtOnce) judgeAll();
  if (verdict == Verdict::kEnd) front.reset();
}

void FrontKit::onTokenLaneLost() noexcept {
  lanesLost++;
  if (endsWithLane) front.reset();
}

void FrontKit::judgeAll() {
  std::vector<Waiting> all;
  all.swap(waiting);
  for (const auto& [connection, generation, isGood, verified] : all) {
    if (!isGood) {
      front->reject(connection, generation, Refusal::kUnauthenticated);
      continue;
    }
    rememberGoodToken();
    front->admit(connection, generation);
  }
}

void FrontKit::rememberGoodToken() {
  const FaultsSuspended own;
  tokens.insert(kGoodToken, control.authEpoch.load(), 0, {});
}

std::vector<Answer> FrontKit::ask(std::string_view bytes, size_t answers) {
  const auto asking = client();
  asking->send(bytes);
  asking->readAnswers(answers);
  std::string_view rest;
  return splitAnswers(asking->received, rest);
}

void FrontKit::checkQuiet() {
  loop.settle();
  CHECK_EQUAL(column->header.exchangesLive, 0U);
  CHECK_EQUAL(front->busyConnections(), 0U);
  CHECK_EQUAL(column->entities[0].inFlight, 0U);
  CHECK_EQUAL(column->entities[1].inFlight, 0U);
  CHECK_EQUAL(loop.deferredCount(), 0U);
}

std::string post(std::string_view endpoint, std::string_view body, std::string_view fields) {
  std::string text = "POST /serving-endpoints/" + std::string(endpoint) +
                     "/invocations HTTP/1.1\r\nHost: front.test\r\n";
  if (fields.find("Authorization") == std::string_view::npos) {
    text.append("Authorization: ").append(kGoodToken).append("\r\n");
  }
  text.append(fields);
  if (fields.find("Transfer-Encoding") == std::string_view::npos) {
    text.append("Content-Length: ").append(std::to_string(body.size())).append("\r\n");
  }
  return text.append("\r\n").append(body);
}

}  // namespace pointsman::test
