#include "test/net/relay.h"

#include <sys/mman.h>

#include <filesystem>

#include "test/check.h"
#include "test/net/faults.h"

namespace pointsman::test {

Client* RecordingDoor::clientOf(Exchange& exchange) {
  const FaultsSuspended own;
  CHECK(!isInCall_);
  const auto found = clients_.find(exchange.id());
  if (!CHECK(found != clients_.end())) return nullptr;
  return found->second;
}

void RecordingDoor::bind(Exchange& exchange, Client& client) {
  const FaultsSuspended own;
  client.exchange = &exchange;
  clients_[exchange.id()] = &client;
}

void RecordingDoor::record(Client& client, const AnswerEvent& event) {
  const FaultsSuspended own;
  if (event.hasHead) {
    client.heads++;
    client.status = event.status;
    client.contentLength = event.contentLength;
    client.bodyAllowed = event.bodyAllowed;
    client.fields = event.fields;
  }
  client.body.append(event.body);
}

void RecordingDoor::onAnswer(Exchange& exchange, const AnswerEvent& event) noexcept {
  Client* client = clientOf(exchange);
  if (client == nullptr) return;
  client->events++;
  CHECK_EQUAL(client->ends + client->failures, 0U);
  CHECK(event.hasHead || client->heads == 1);
  record(*client, event);
  client->eventBytesMax = std::max(client->eventBytesMax, event.body.size());
  if (event.end) {
    client->ends++;
    unbind(exchange);
  }
  if (client->onAnswer) client->onAnswer(event);
  if (event.end && client->onOver) client->onOver();
}

void RecordingDoor::onFailure(Exchange& exchange, Failure failure, bool headRelayed) noexcept {
  Client* client = clientOf(exchange);
  if (client == nullptr) return;
  CHECK_EQUAL(client->ends + client->failures, 0U);
  CHECK_EQUAL(headRelayed, client->heads == 1);
  client->failures++;
  client->failure = failure;
  client->headRelayed = headRelayed;
  unbind(exchange);
  if (client->onOver) client->onOver();
}

void RecordingDoor::onRequestDrain(Exchange& exchange) noexcept {
  Client* client = clientOf(exchange);
  if (client == nullptr) return;
  client->drains++;
  if (client->onDrain) client->onDrain();
}

LocalColumn::LocalColumn() {
  void* memory = mmap(nullptr, sizeof(Column), PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  CHECK(memory != MAP_FAILED);
  column_ = static_cast<Column*>(memory);
}

LocalColumn::~LocalColumn() {
  munmap(column_, sizeof(Column));
}

Relay::Relay()
    : readBuffer(kReadBufferBytes),
      engine(std::in_place, loop, Xoshiro256pp(7), std::span<char>(readBuffer), control, *column,
             AdmissionPeers{.columns = {limitColumn(*column)}}),
      spec(makeRef<DeploymentSpec>()) {
  spec->name = "replicas";
  spec->protocol = Protocol::kRaw;
  spec->connectMs = 1'000;
  spec->responseHeaderMs = 5'000;
  spec->bodyIdleMs = 2'000;
  spec->keepaliveIdleMs = 4'000;
  spec->addresses = makeRef<AddressSet>(Protocol::kRaw);
}

void Relay::setTargets(const std::vector<Target>& targets) {
  std::vector<AddressInput> inputs;
  for (const Target& target : targets) {
    const std::string name = target.host + ":" + std::to_string(target.port);
    inputs.push_back({.host = target.host,
                      .port = target.port,
                      .authority = "replica.test:8000",
                      .basePath = "/v1",
                      .weight = 1,
                      .ready = target.ready,
                      .statsSlot = slots_.try_emplace(name, slots_.size()).first->second});
  }
  CHECK_EQUAL(spec->addresses->update(*engine, inputs), std::string());
}

Client& Relay::start(const Request& request) {
  Client& client = newClient();
  Exchange* exchange = engine->createExchange(1);
  if (exchange == nullptr) {
    client.failures++;
    client.failure = Failure::kOutOfMemory;
    return client;
  }
  door.bind(*exchange, client);
  const RequestHead head{.method = request.method,
                         .query = request.query,
                         .fields = request.fields,
                         .clientAddress = "192.0.2.7",
                         .requestId = "id-1",
                         .contentLength = request.contentLength == -2
                                              ? static_cast<int64_t>(request.body.size())
                                              : request.contentLength};
  door.setInCall(true);
  exchange->start(door, spec, stats, entityLimit, head, request.body, request.last);
  door.setInCall(false);
  return client;
}

Client& Relay::newClient() {
  const FaultsSuspended own;
  return clients_.emplace_back();
}

size_t Relay::sendBody(Client& client, std::string_view body, bool last) {
  door.setInCall(true);
  const size_t waiting = client.exchange->sendBody(body, last);
  door.setInCall(false);
  return waiting;
}

void Relay::cancel(Client& client) {
  door.unbind(*client.exchange);
  door.setInCall(true);
  client.exchange->cancel();
  door.setInCall(false);
}

void Relay::finish(Client& client) {
  CHECK(loop.runUntil([&client] { return client.isOver(); }));
}

Client& Relay::fetch(const Request& request) {
  Client& client = start(request);
  finish(client);
  return client;
}

void Relay::destroyEngine() {
  spec.reset();
  entityLimit = {};
  engine.reset();
  CHECK_EQUAL(stats.inFlight, 0U);
  CHECK(!loop.isTicking());
}

void Relay::checkQuiet() {
  loop.settle();
  CHECK_EQUAL(column->header.exchangesLive, 0U);
  CHECK_EQUAL(stats.inFlight, 0U);
  for (const AddressSet::Entry& entry : spec->addresses->entries()) {
    CHECK_EQUAL(entry.address->stats().inFlight, 0U);
    CHECK_EQUAL(entry.address->pool().openCount(), entry.address->pool().idleCount());
  }
}

size_t openDescriptors() {
  size_t count = 0;
  for (const auto& entry : std::filesystem::directory_iterator("/proc/self/fd")) {
    count += entry.path().empty() ? 0 : 1;
  }
  return count;
}

ReplicaScript okForever() {
  ReplicaScript script;
  for (int i = 0; i < 1'000; i++) {
    script.push_back(waitRequest());
    script.push_back(send(kOk));
  }
  return script;
}

}  // namespace pointsman::test
