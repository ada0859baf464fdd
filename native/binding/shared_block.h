// The shared memory block: two sealed memfds, mapped by supervisor and workers.
//
// The supervisor makes them, maps both writable, and forbids further writable mappings of the
// control page (F_SEAL_FUTURE_WRITE), so that no worker, however broken, can move the active
// revision. Both are sealed against change of size, so that no mapping can be cut short under its
// user.
#pragma once

#include <napi.h>

#include <memory>
#include <span>
#include <vector>

#include "core/shared_block.h"

namespace pointsman {

// One process's mapping; unmapped with its last owner.
class SharedMapping {
 public:
  // nullptr with errno set.
  static std::shared_ptr<SharedMapping> create(uint32_t workers, int& controlFd, int& columnsFd);
  // nullptr with errno set; EINVAL: not a block of this layout.
  static std::shared_ptr<SharedMapping> open(int controlFd, int columnsFd);

  ~SharedMapping();
  SharedMapping(const SharedMapping&) = delete;
  SharedMapping& operator=(const SharedMapping&) = delete;

  const ControlPage& control() const noexcept { return *control_; }
  // nullptr in workers.
  ControlPage* writableControl() const noexcept { return writable_ ? control_ : nullptr; }
  uint32_t workers() const noexcept { return workers_; }
  Column& column(uint32_t worker) const noexcept { return columns_[worker]; }
  Column& retired() const noexcept { return columns_[workers_]; }
  std::span<Column> columns() const noexcept { return {columns_, workers_ + size_t{1}}; }
  // Of the workers.
  std::vector<LimitColumn> limitColumns() const;
  // Supervisor only: adds a dead worker's counters to the retired column and gives the memory of
  // its own back.
  void retire(uint32_t worker) const noexcept;

 private:
  SharedMapping() = default;
  bool map(int controlFd, int columnsFd, uint32_t workers, bool writable);

  ControlPage* control_ = nullptr;
  Column* columns_ = nullptr;
  // Owned; -1 in workers, which retire nobody.
  int columnsFd_ = -1;
  uint32_t workers_ = 0;
  bool writable_ = false;
};

// Class SharedBlock of the addon; contract in src/native/shared-block.ts.
class SharedBlockBinding final : public Napi::ObjectWrap<SharedBlockBinding> {
 public:
  static Napi::Function define(Napi::Env env);
  explicit SharedBlockBinding(const Napi::CallbackInfo& info);

  // nullptr after close.
  const std::shared_ptr<SharedMapping>& mapping() const noexcept { return mapping_; }

 private:
  using ControlWord = std::atomic<uint64_t> ControlPage::*;

  Napi::Value read(const Napi::CallbackInfo& info, ControlWord word);
  Napi::Value raise(const Napi::CallbackInfo& info, ControlWord word);
  Napi::Value activeRevision(const Napi::CallbackInfo& info);
  Napi::Value authEpoch(const Napi::CallbackInfo& info);
  Napi::Value raiseAuthEpoch(const Napi::CallbackInfo& info);
  Napi::Value accessVersion(const Napi::CallbackInfo& info);
  Napi::Value raiseAccessVersion(const Napi::CallbackInfo& info);
  Napi::Value setActiveRevision(const Napi::CallbackInfo& info);
  Napi::Value readEntity(const Napi::CallbackInfo& info);
  Napi::Value readAddress(const Napi::CallbackInfo& info);
  Napi::Value readDeployment(const Napi::CallbackInfo& info);
  Napi::Value readRefusals(const Napi::CallbackInfo& info);
  Napi::Value connectionsRefused(const Napi::CallbackInfo& info);
  Napi::Value readWorker(const Napi::CallbackInfo& info);
  Napi::Value retire(const Napi::CallbackInfo& info);
  Napi::Value clearEntitySlot(const Napi::CallbackInfo& info);
  Napi::Value clearAddressSlot(const Napi::CallbackInfo& info);
  Napi::Value clearDeploymentSlot(const Napi::CallbackInfo& info);
  Napi::Value close(const Napi::CallbackInfo& info);

  // False, with a JS exception set, when the argument is not a whole number below `bound` or the
  // block is closed.
  bool number(const Napi::CallbackInfo& info, size_t bound, uint32_t& value) const;
  // Where a read writes to; nullptr, with a JS exception set, unless it is a Float64Array of that
  // length.
  double* target(const Napi::CallbackInfo& info, size_t index, size_t length) const;

  std::shared_ptr<SharedMapping> mapping_;
};

// The mapping of a SharedBlock that is not closed; nullptr for any other value.
std::shared_ptr<SharedMapping> sharedMappingOf(const Napi::Value& value);

// Adds createSharedBlock and openSharedBlock to the exports.
void defineSharedBlock(Napi::Env env, Napi::Object exports);

}  // namespace pointsman
