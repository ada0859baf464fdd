// An immutable map from names to shared objects whose next version costs only what differs.
//
// 256 shards by hash; a copy of the map shares all of them, and a change copies the one shard it is
// in. So a revision that changes one endpoint of 10,000 copies some 40 entries, not 10,000, and
// versions that are let go free only what no other version has. Thread: one; the reference counts
// are not atomic.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>

#include "net/ref.h"

namespace pointsman {

template <class T>
class ShardedMap {
 public:
  // nullptr when there is none.
  T* find(std::string_view name) const noexcept {
    const Shard* shard = shards_[shardOf(name)].get();
    if (shard == nullptr) return nullptr;
    const auto found = shard->entries.find(name);
    return found == shard->entries.end() ? nullptr : found->second.get();
  }

  void set(const std::string& name, Ref<T> value) {
    own(shardOf(name)).entries.insert_or_assign(name, std::move(value));
  }

  void remove(std::string_view name) {
    const size_t index = shardOf(name);
    if (find(name) == nullptr) return;
    auto& entries = own(index).entries;
    entries.erase(entries.find(name));
  }

 private:
  static constexpr size_t kShards = 256;

  // Looks up by view without making a string.
  struct Hash {
    using is_transparent = void;
    size_t operator()(std::string_view text) const noexcept {
      return std::hash<std::string_view>{}(text);
    }
  };

  struct Shard final : public RefCounted<Shard> {
    std::unordered_map<std::string, Ref<T>, Hash, std::equal_to<>> entries;
  };

  // The high bits: the map inside the shard uses the low ones.
  static size_t shardOf(std::string_view name) noexcept { return (Hash{}(name) >> 48) % kShards; }

  // The shard as this map's alone.
  Shard& own(size_t index) {
    Ref<Shard>& shard = shards_[index];
    if (!shard) {
      shard = makeRef<Shard>();
    } else if (!shard.unique()) {
      Ref<Shard> copy = makeRef<Shard>();
      copy->entries = shard->entries;
      shard = std::move(copy);
    }
    return *shard;
  }

  std::array<Ref<Shard>, kShards> shards_;
};

}  // namespace pointsman
