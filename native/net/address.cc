#include "net/address.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/un.h>

#include <cstring>

#include "net/engine.h"

namespace pointsman {

namespace {

constexpr std::string_view kUnixScheme = "unix:";

}  // namespace

Address::Address(Engine& engine, uint32_t statsSlot) noexcept
    : engine_(engine),
      statsSlot_(statsSlot),
      stats_(engine.column().addresses[statsSlot]),
      pool_(engine, *this) {}

uint32_t Address::load() const noexcept {
  uint32_t inFlight = 0;
  for (const Column& column : engine_.columns())
    inFlight += peek(column.addresses[statsSlot_].inFlight);
  return inFlight;
}

void Address::setEjected(uint64_t untilMs) noexcept {
  if (untilMs == ejectedUntilMs_) return;
  if (ejectedUntilMs_ == 0) stats_.ejections++;
  ejectedUntilMs_ = stats_.ejectedUntilMs = untilMs;
}

bool Address::isEjectedElsewhere(uint64_t nowMs) const noexcept {
  const Column* own = &engine_.column();
  for (const Column& column : engine_.columns()) {
    if (&column != own && peek(column.addresses[statsSlot_].ejectedUntilMs) > nowMs) return true;
  }
  return false;
}

Ref<Address> Address::create(Engine& engine, std::string_view host, uint16_t port,
                             uint32_t statsSlot) {
  auto address = makeRef<Address>(engine, statsSlot);
  const std::string hostText(host);
  if (host.starts_with(kUnixScheme)) {
    const std::string path = hostText.substr(kUnixScheme.size());
    sockaddr_un un{};
    if (path.empty() || path.size() >= sizeof un.sun_path) return {};
    un.sun_family = AF_UNIX;
    std::memcpy(un.sun_path, path.c_str(), path.size() + 1);
    std::memcpy(&address->storage_, &un, sizeof un);
    address->storageBytes_ = sizeof un;
    address->text_ = hostText;
    return address;
  }
  sockaddr_in v4{};
  sockaddr_in6 v6{};
  if (inet_pton(AF_INET, hostText.c_str(), &v4.sin_addr) == 1) {
    v4.sin_family = AF_INET;
    v4.sin_port = htons(port);
    std::memcpy(&address->storage_, &v4, sizeof v4);
    address->storageBytes_ = sizeof v4;
    address->text_ = hostText + ":" + std::to_string(port);
    return address;
  }
  if (inet_pton(AF_INET6, hostText.c_str(), &v6.sin6_addr) == 1) {
    v6.sin6_family = AF_INET6;
    v6.sin6_port = htons(port);
    std::memcpy(&address->storage_, &v6, sizeof v6);
    address->storageBytes_ = sizeof v6;
    address->text_ = "[" + hostText + "]:" + std::to_string(port);
    return address;
  }
  return {};
}

Ref<Address> Address::createLocal(Engine& engine, Connector& connector) {
  auto address = makeRef<Address>(engine, kLocalAddressSlot);
  address->connector_ = &connector;
  address->text_ = "local";
  return address;
}

}  // namespace pointsman
