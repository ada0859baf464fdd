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
#include "net/passive_health.h"
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
  // `statsSlot` is the index of its counters in every column.
  static Ref<Address> create(Engine& engine, std::string_view host, uint16_t port,
                             uint32_t statsSlot);
  // Connections come from `connector`, which outlives the address. Counted in kLocalAddressSlot.
  static Ref<Address> createLocal(Engine& engine, Connector& connector);

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
  PassiveHealth& health() noexcept { return health_; }

  // Requests under way from all workers. HOT: one read per worker; whoever picks among addresses
  // must see what the others have just sent there.
  uint32_t load() const noexcept;

  // While it is left out of the choice, until when; else 0. Other processes see it.
  uint64_t ejectedUntilMs() const noexcept { return ejectedUntilMs_; }
  void setEjected(uint64_t untilMs) noexcept;
  // Some other worker leaves it out now.
  bool isEjectedElsewhere(uint64_t nowMs) const noexcept;

  Address(Engine& engine, uint32_t statsSlot) noexcept;

 private:
  Engine& engine_;
  uint32_t statsSlot_;
  uint64_t ejectedUntilMs_ = 0;
  PassiveHealth health_;
  std::string text_;
  sockaddr_storage storage_{};
  socklen_t storageBytes_ = 0;
  Connector* connector_ = nullptr;
  // In memory that outlives the engine; before the pool, which counts in it to its end.
  AddressStats& stats_;
  ConnectionPool pool_;
};

}  // namespace pointsman
