// A snapshot in the form that requests use: endpoint name -> routes -> deployment.
//
// Immutable once it is active. Unchanged endpoints are shared between tables. Stands in net, not in
// core, because its leaves are deployments.
// Thread: the loop's.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "core/alias_table.h"
#include "net/deployment.h"
#include "net/ref.h"

namespace pointsman {

struct EntityTarget {
  std::string name;
  // Index of the entity's counters in the engine.
  uint32_t statsIndex;
  // Empty: no deployment serves the entity.
  Ref<DeploymentSpec> deployment;
};

class EndpointRoutes final : public RefCounted<EndpointRoutes> {
 public:
  EndpointRoutes(AliasTable split, std::vector<EntityTarget> entities)
      : split_(std::move(split)), entities_(std::move(entities)) {}

  // HOT: one draw, O(1), no allocation (native/test/alias_table_test.cc counts).
  const EntityTarget& pick(uint64_t draw) const noexcept { return entities_[split_.pick(draw)]; }
  // nullptr when the endpoint has no such entity. At most 15 entities: a scan beats a map.
  const EntityTarget* find(std::string_view name) const noexcept {
    for (const EntityTarget& entity : entities_) {
      if (entity.name == name) return &entity;
    }
    return nullptr;
  }
  const std::vector<EntityTarget>& entities() const noexcept { return entities_; }

 private:
  AliasTable split_;
  std::vector<EntityTarget> entities_;
};

class RoutingTable final : public RefCounted<RoutingTable> {
 public:
  explicit RoutingTable(uint64_t revision) noexcept : revision_(revision) {}

  uint64_t revision() const noexcept { return revision_; }
  void addEndpoint(std::string name, Ref<EndpointRoutes> routes) {
    endpoints_.insert_or_assign(std::move(name), std::move(routes));
  }
  void addDeployment(Ref<DeploymentSpec> spec) {
    std::string name = spec->name;
    deployments_.insert_or_assign(std::move(name), std::move(spec));
  }
  const EndpointRoutes* find(std::string_view name) const noexcept {
    const auto found = endpoints_.find(name);
    return found == endpoints_.end() ? nullptr : found->second.get();
  }
  Ref<DeploymentSpec> deployment(std::string_view name) const noexcept {
    const auto found = deployments_.find(name);
    return found == deployments_.end() ? Ref<DeploymentSpec>() : found->second;
  }

 private:
  // Looks up by view without making a string.
  struct Hash {
    using is_transparent = void;
    size_t operator()(std::string_view text) const noexcept {
      return std::hash<std::string_view>{}(text);
    }
  };
  template <class T>
  using ByName = std::unordered_map<std::string, Ref<T>, Hash, std::equal_to<>>;

  uint64_t revision_;
  ByName<EndpointRoutes> endpoints_;
  ByName<DeploymentSpec> deployments_;
};

}  // namespace pointsman
