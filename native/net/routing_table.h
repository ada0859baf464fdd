// A snapshot in the form that requests use: endpoint name -> routes -> deployment.
//
// Immutable once it is prepared. A table is made from the one before by what differs; the rest is
// shared. Stands in net, not in core, because its leaves are deployments. Thread: the loop's.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/alias_table.h"
#include "core/entity_stats.h"
#include "net/deployment.h"
#include "net/ref.h"
#include "net/sharded_map.h"

namespace pointsman {

struct EntityTarget {
  std::string name;
  // Index of the entity's counters in every column.
  uint32_t statsSlot;
  Limit limit;
  // Empty: no deployment serves the entity.
  Ref<DeploymentSpec> deployment;
};

// Who may query an endpoint, and how.
struct EndpointAccess {
  // Never given twice, unlike names.
  std::string id{};
  // Ids of the principals and groups that may query it, ascending.
  std::vector<uint32_t> readers{};
  // At its own URL only tokens that name it are taken.
  bool routeOptimized = false;
};

class EndpointRoutes final : public RefCounted<EndpointRoutes> {
 public:
  EndpointRoutes(AliasTable split, std::vector<EntityTarget> entities, EndpointAccess access = {})
      : split_(std::move(split)), entities_(std::move(entities)), access_(std::move(access)) {}

  const EndpointAccess& access() const noexcept { return access_; }

  // HOT: one draw, O(1), no allocation (native/test/alias_table_test.cc counts).
  const EntityTarget& pick(uint64_t draw) const noexcept { return entities_[split_.pick(draw)]; }
  // nullptr when the endpoint has no such entity. At most 15 entities: a scan beats a map.
  const EntityTarget* find(std::string_view name) const noexcept {
    for (const EntityTarget& entity : entities_) {
      if (entity.name == name) return &entity;
    }
    return nullptr;
  }

 private:
  AliasTable split_;
  std::vector<EntityTarget> entities_;
  EndpointAccess access_;
};

class RoutingTable final : public RefCounted<RoutingTable> {
 public:
  explicit RoutingTable(uint64_t revision) noexcept : revision_(revision) {}
  // All that `base` has, under another revision.
  RoutingTable(uint64_t revision, const RoutingTable& base)
      : revision_(revision), endpoints_(base.endpoints_), deployments_(base.deployments_) {}

  uint64_t revision() const noexcept { return revision_; }
  ShardedMap<EndpointRoutes>& endpoints() noexcept { return endpoints_; }
  ShardedMap<DeploymentSpec>& deployments() noexcept { return deployments_; }
  // nullptr when there is none.
  const EndpointRoutes* find(std::string_view endpoint) const noexcept {
    return endpoints_.find(endpoint);
  }
  Ref<DeploymentSpec> deployment(std::string_view name) const noexcept {
    return Ref<DeploymentSpec>(deployments_.find(name));
  }

 private:
  uint64_t revision_;
  ShardedMap<EndpointRoutes> endpoints_;
  ShardedMap<DeploymentSpec> deployments_;
};

}  // namespace pointsman
