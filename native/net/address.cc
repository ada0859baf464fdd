#include "net/address.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/un.h>

#include <cstring>

namespace pointsman {

namespace {

constexpr std::string_view kUnixScheme = "unix:";

}  // namespace

Ref<Address> Address::create(Engine& engine, std::string_view host, uint16_t port,
                             AddressStats& stats) {
  auto address = makeRef<Address>(engine, stats);
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

Ref<Address> Address::createLocal(Engine& engine, Connector& connector, AddressStats& stats) {
  auto address = makeRef<Address>(engine, stats);
  address->connector_ = &connector;
  address->text_ = "local";
  return address;
}

}  // namespace pointsman
