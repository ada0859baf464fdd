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

#include "core/shared_block.h"
#include "net/connection_pool.h"
#include "net/ref.h"

namespace pointsman {

class Engine;

// Opens connections that no socket address leads to.
class Connector {
 public:
  // A connected descriptor, not blocking, the caller's to close; -1 with errno set.
  virtual int connect() noexcept = 0;

 protected:
  ~Connector() = default;
};

class Address final : public RefCounted<Address> {
 public:
  // `host` is an IP literal or `unix:/path`; empty when it is neither or does not fit.
  // `stats` are its counters in this worker's column.
  static Ref<Address> create(Engine& engine, std::string_view host, uint16_t port,
                             AddressStats& stats);
  // Connections come from `connector`, which outlives the address.
  static Ref<Address> createLocal(Engine& engine, Connector& connector, AddressStats& stats);

  // `host:port`, `[v6]:port` or `unix:/path`; the identity of the address.
  const std::string& text() const noexcept { return text_; }
  const sockaddr* socketAddress() const noexcept {
    return reinterpret_cast<const sockaddr*>(&storage_);  // NOLINT: the socket API's own idiom
  }
  socklen_t socketAddressBytes() const noexcept { return storageBytes_; }
  // nullptr: connections go to the socket address.
  Connector* connector() const noexcept { return connector_; }
  ConnectionPool& pool() noexcept { return pool_; }
  AddressStats& stats() noexcept { return stats_; }

  Address(Engine& engine, AddressStats& stats) noexcept : stats_(stats), pool_(engine, *this) {}

 private:
  std::string text_;
  sockaddr_storage storage_{};
  socklen_t storageBytes_ = 0;
  Connector* connector_ = nullptr;
  // In memory that outlives the engine; before the pool, which counts in it to its end.
  AddressStats& stats_;
  ConnectionPool pool_;
};

}  // namespace pointsman
