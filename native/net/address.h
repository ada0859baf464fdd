// One resolved socket address of a replica: where requests go, with its own pool and counters.
//
// Addresses outlive snapshots: a configuration change that keeps an address keeps its warm
// connections. They are reference-counted by the address sets that name them and by the exchanges
// that use them.
// Thread: the loop's.
#pragma once

#include <sys/socket.h>

#include <cstdint>
#include <string>
#include <string_view>

#include "net/connection_pool.h"
#include "net/ref.h"

namespace pointsman {

class Engine;

struct AddressCounters {
  uint32_t inFlight = 0;
  uint64_t requests = 0;
  uint64_t connects = 0;
  uint64_t connectFailures = 0;
};

class Address final : public RefCounted<Address> {
 public:
  // `host` is an IP literal or `unix:/path`; empty when it is neither or does not fit.
  static Ref<Address> create(Engine& engine, std::string_view host, uint16_t port);

  // `host:port`, `[v6]:port` or `unix:/path`; the identity of the address.
  const std::string& text() const noexcept { return text_; }
  const sockaddr* socketAddress() const noexcept {
    return reinterpret_cast<const sockaddr*>(&storage_);  // NOLINT: the socket API's own idiom
  }
  socklen_t socketAddressBytes() const noexcept { return storageBytes_; }
  ConnectionPool& pool() noexcept { return pool_; }
  AddressCounters& counters() noexcept { return counters_; }

  explicit Address(Engine& engine) noexcept : pool_(engine, *this) {}

 private:
  std::string text_;
  sockaddr_storage storage_{};
  socklen_t storageBytes_ = 0;
  AddressCounters counters_;
  ConnectionPool pool_;
};

}  // namespace pointsman
