#include "binding/shared_block.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <ctime>
#include <new>
#include <string>

#include "binding/addon_data.h"
#include "binding/errno.h"

// Since Linux 5.1; older C libraries do not name it.
#ifndef F_SEAL_FUTURE_WRITE
#define F_SEAL_FUTURE_WRITE 0x0010
#endif

namespace pointsman {

namespace {

constexpr int kSizeSeals = F_SEAL_SHRINK | F_SEAL_GROW;
// Numbers below it are exact in JS.
constexpr uint64_t kIdMask = (uint64_t{1} << 53) - 1;

int makeMemory(const char* name, size_t bytes) {
  const int fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
  if (fd < 0) return -1;
  if (ftruncate(fd, static_cast<off_t>(bytes)) == 0 && fcntl(fd, F_ADD_SEALS, kSizeSeals) == 0) {
    return fd;
  }
  const int error = errno;
  close(fd);
  errno = error;
  return -1;
}

bool hasSizeAndSeals(int fd, size_t bytes) {
  struct stat status {};
  const int seals = fcntl(fd, F_GET_SEALS);
  return fstat(fd, &status) == 0 && status.st_size == static_cast<off_t>(bytes) && seals >= 0 &&
         (seals & kSizeSeals) == kSizeSeals;
}

// The clock of the workers' loops.
uint64_t monotonicMs() {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<uint64_t>(now.tv_sec) * 1'000 + static_cast<uint64_t>(now.tv_nsec) / 1'000'000;
}

void* mapShared(int fd, size_t bytes, bool writable) {
  void* memory =
      mmap(nullptr, bytes, writable ? PROT_READ | PROT_WRITE : PROT_READ, MAP_SHARED, fd, 0);
  return memory == MAP_FAILED ? nullptr : memory;
}

}  // namespace

std::shared_ptr<SharedMapping> SharedMapping::create(uint32_t workers, int& controlFd,
                                                     int& columnsFd) {
  controlFd = makeMemory("pointsman-control", kSharedPageBytes);
  columnsFd = controlFd < 0 ? -1 : makeMemory("pointsman-columns", columnsBytes(workers));
  std::shared_ptr<SharedMapping> mapping(new SharedMapping());
  uint64_t id = 0;
  const bool made = columnsFd >= 0 && mapping->map(controlFd, columnsFd, workers, true) &&
                    fcntl(controlFd, F_ADD_SEALS, F_SEAL_FUTURE_WRITE) == 0 &&
                    (mapping->columnsFd_ = fcntl(columnsFd, F_DUPFD_CLOEXEC, 0)) >= 0 &&
                    getrandom(&id, sizeof id, 0) == static_cast<ssize_t>(sizeof id);
  if (!made) {
    const int error = errno;
    if (controlFd >= 0) close(controlFd);
    if (columnsFd >= 0) close(columnsFd);
    errno = error;
    return nullptr;
  }
  ControlPage& page = *mapping->control_;
  page.magic = kSharedMagic;
  page.workers = workers;
  page.id = id & kIdMask;
  return mapping;
}

std::shared_ptr<SharedMapping> SharedMapping::open(int controlFd, int columnsFd) {
  errno = EINVAL;
  if (!hasSizeAndSeals(controlFd, kSharedPageBytes)) return nullptr;
  void* page = mapShared(controlFd, kSharedPageBytes, false);
  if (page == nullptr) return nullptr;
  const auto* control = static_cast<const ControlPage*>(page);
  const uint64_t magic = control->magic;
  const uint32_t workers = control->workers;
  munmap(page, kSharedPageBytes);
  errno = EINVAL;
  if (magic != kSharedMagic || workers == 0 || workers > kWorkersMax) return nullptr;
  if (!hasSizeAndSeals(columnsFd, columnsBytes(workers))) return nullptr;
  std::shared_ptr<SharedMapping> mapping(new SharedMapping());
  return mapping->map(controlFd, columnsFd, workers, false) ? mapping : nullptr;
}

bool SharedMapping::map(int controlFd, int columnsFd, uint32_t workers, bool writable) {
  void* page = mapShared(controlFd, kSharedPageBytes, writable);
  if (page == nullptr) return false;
  control_ = static_cast<ControlPage*>(page);
  writable_ = writable;
  workers_ = workers;
  void* columns = mapShared(columnsFd, columnsBytes(workers), true);
  if (columns == nullptr) return false;
  columns_ = static_cast<Column*>(columns);
  return true;
}

std::vector<LimitColumn> SharedMapping::limitColumns() const {
  std::vector<LimitColumn> result;
  for (uint32_t worker = 0; worker < workers_; worker++) {
    result.push_back(limitColumn(columns_[worker]));
  }
  return result;
}

// A column is mostly holes, which must not be read through the mapping: that would fill them.
void SharedMapping::retire(uint32_t worker) const noexcept {
  const auto start = static_cast<off_t>(worker * sizeof(Column));
  const auto end = static_cast<off_t>(start + sizeof(Column));
  for (off_t at = start; at < end;) {
    const off_t data = lseek(columnsFd_, at, SEEK_DATA);
    if (data < 0 || data >= end) break;
    at = std::min(lseek(columnsFd_, data, SEEK_HOLE), end);
    retireRange(column(worker), retired(), static_cast<size_t>(data - start),
                static_cast<size_t>(at - start));
  }
  // No count is left in it; where this fails the memory is merely kept.
  (void)fallocate(columnsFd_, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, start, sizeof(Column));
}

SharedMapping::~SharedMapping() {
  if (columnsFd_ >= 0) ::close(columnsFd_);
  if (control_ != nullptr) munmap(control_, kSharedPageBytes);
  if (columns_ != nullptr) munmap(columns_, columnsBytes(workers_));
}

Napi::Function SharedBlockBinding::define(Napi::Env env) {
  return DefineClass(env, "SharedBlock",
                     {InstanceMethod<&SharedBlockBinding::activeRevision>("activeRevision"),
                      InstanceMethod<&SharedBlockBinding::setActiveRevision>("setActiveRevision"),
                      InstanceMethod<&SharedBlockBinding::authEpoch>("authEpoch"),
                      InstanceMethod<&SharedBlockBinding::raiseAuthEpoch>("raiseAuthEpoch"),
                      InstanceMethod<&SharedBlockBinding::accessVersion>("accessVersion"),
                      InstanceMethod<&SharedBlockBinding::raiseAccessVersion>("raiseAccessVersion"),
                      InstanceMethod<&SharedBlockBinding::readEntity>("readEntity"),
                      InstanceMethod<&SharedBlockBinding::readAddress>("readAddress"),
                      InstanceMethod<&SharedBlockBinding::readDeployment>("readDeployment"),
                      InstanceMethod<&SharedBlockBinding::readRefusals>("readRefusals"),
                      InstanceMethod<&SharedBlockBinding::connectionsRefused>("connectionsRefused"),
                      InstanceMethod<&SharedBlockBinding::readWorker>("readWorker"),
                      InstanceMethod<&SharedBlockBinding::retire>("retire"),
                      InstanceMethod<&SharedBlockBinding::clearEntitySlot>("clearEntity"),
                      InstanceMethod<&SharedBlockBinding::clearAddressSlot>("clearAddress"),
                      InstanceMethod<&SharedBlockBinding::clearDeploymentSlot>("clearDeployment"),
                      InstanceMethod<&SharedBlockBinding::close>("close")});
}

// Called by createSharedBlock and openSharedBlock with the mapping behind an External.
SharedBlockBinding::SharedBlockBinding(const Napi::CallbackInfo& info)
    : Napi::ObjectWrap<SharedBlockBinding>(info) {
  if (info.Length() != 1 || !info[0].IsExternal()) {
    Napi::TypeError::New(info.Env(), "use createSharedBlock or openSharedBlock")
        .ThrowAsJavaScriptException();
    return;
  }
  mapping_ = *info[0].As<Napi::External<std::shared_ptr<SharedMapping>>>().Data();
  Napi::Object self = info.This().As<Napi::Object>();
  self.Set("workers", mapping_->workers());
  self.Set("id", static_cast<double>(mapping_->control().id));
  self.Set("entitySlotsMax", static_cast<double>(kEntitySlotsMax));
  self.Set("addressSlotsMax", static_cast<double>(kLocalAddressSlot));
  self.Set("deploymentSlotsMax", static_cast<double>(kDeploymentSlotsMax));
  self.Set("refusalsMax", static_cast<double>(kRefusalsMax));
}

bool SharedBlockBinding::number(const Napi::CallbackInfo& info, size_t bound,
                                uint32_t& value) const {
  if (mapping_ == nullptr) {
    Napi::Error::New(info.Env(), "the shared block is closed").ThrowAsJavaScriptException();
    return false;
  }
  if (bound == 0) return true;
  const double given = info[0].IsNumber() ? info[0].As<Napi::Number>().DoubleValue() : -1;
  if (!(given >= 0 && given < static_cast<double>(bound))) {
    Napi::RangeError::New(info.Env(), "no such slot in the shared block")
        .ThrowAsJavaScriptException();
    return false;
  }
  value = static_cast<uint32_t>(given);
  return true;
}

double* SharedBlockBinding::target(const Napi::CallbackInfo& info, size_t index,
                                   size_t length) const {
  if (info[index].IsTypedArray()) {
    auto array = info[index].As<Napi::TypedArray>();
    if (array.TypedArrayType() == napi_float64_array && array.ElementLength() == length) {
      return info[index].As<Napi::Float64Array>().Data();
    }
  }
  Napi::TypeError::New(info.Env(), "needs a Float64Array of " + std::to_string(length))
      .ThrowAsJavaScriptException();
  return nullptr;
}

Napi::Value SharedBlockBinding::read(const Napi::CallbackInfo& info, ControlWord word) {
  uint32_t unused = 0;
  if (!number(info, 0, unused)) return {};
  const uint64_t value = (mapping_->control().*word).load(std::memory_order_acquire);
  return Napi::Number::New(info.Env(), static_cast<double>(value));
}

Napi::Value SharedBlockBinding::raise(const Napi::CallbackInfo& info, ControlWord word) {
  uint32_t unused = 0;
  if (!number(info, 0, unused)) return {};
  ControlPage* page = mapping_->writableControl();
  if (page == nullptr) {
    Napi::Error::New(info.Env(), "only the supervisor raises the words of the control page")
        .ThrowAsJavaScriptException();
    return {};
  }
  const uint64_t value = (page->*word).fetch_add(1, std::memory_order_seq_cst) + 1;
  return Napi::Number::New(info.Env(), static_cast<double>(value));
}

Napi::Value SharedBlockBinding::authEpoch(const Napi::CallbackInfo& info) {
  return read(info, &ControlPage::authEpoch);
}

Napi::Value SharedBlockBinding::raiseAuthEpoch(const Napi::CallbackInfo& info) {
  return raise(info, &ControlPage::authEpoch);
}

Napi::Value SharedBlockBinding::accessVersion(const Napi::CallbackInfo& info) {
  return read(info, &ControlPage::accessVersion);
}

Napi::Value SharedBlockBinding::raiseAccessVersion(const Napi::CallbackInfo& info) {
  return raise(info, &ControlPage::accessVersion);
}

Napi::Value SharedBlockBinding::activeRevision(const Napi::CallbackInfo& info) {
  return read(info, &ControlPage::activeRevision);
}

Napi::Value SharedBlockBinding::setActiveRevision(const Napi::CallbackInfo& info) {
  uint32_t unused = 0;
  if (!number(info, 0, unused)) return {};
  ControlPage* page = mapping_->writableControl();
  if (page == nullptr) {
    Napi::Error::New(info.Env(), "only the supervisor sets the active revision")
        .ThrowAsJavaScriptException();
    return {};
  }
  const auto revision = static_cast<uint64_t>(info[0].As<Napi::Number>().Int64Value());
  page->activeRevision.store(revision, std::memory_order_seq_cst);
  return info.Env().Undefined();
}

Napi::Value SharedBlockBinding::readEntity(const Napi::CallbackInfo& info) {
  uint32_t slot = 0;
  constexpr size_t kClasses = 5;
  constexpr size_t kBuckets = kLatencyBucketsMs.size() + 1;
  if (!number(info, kEntitySlotsMax, slot)) return {};
  constexpr size_t kNumbers = kClasses + kBuckets + 2 + kClasses;
  double* into = target(info, 1, kNumbers);
  if (into == nullptr) return {};
  std::fill_n(into, kNumbers, 0.0);
  for (const Column& column : mapping_->columns()) {
    const EntityStats& stats = column.entities[slot];
    for (size_t i = 0; i < kClasses; ++i) into[i] += static_cast<double>(stats.jsClasses[i]);
    for (size_t i = 0; i < kBuckets; ++i) {
      into[kClasses + i] += static_cast<double>(stats.latency.counts[i]);
    }
    into[kClasses + kBuckets] += static_cast<double>(stats.latency.sumMicroseconds) / 1000.0;
    into[kClasses + kBuckets + 1] += stats.inFlight;
    for (size_t i = 0; i < kClasses; ++i) {
      into[kClasses + kBuckets + 2 + i] += static_cast<double>(stats.nativeClasses[i]);
    }
  }
  return info.Env().Undefined();
}

Napi::Value SharedBlockBinding::readAddress(const Napi::CallbackInfo& info) {
  uint32_t slot = 0;
  if (!number(info, kAddressSlotsMax, slot)) return {};
  constexpr size_t kNumbers = 10;
  double* into = target(info, 1, kNumbers);
  if (into == nullptr) return {};
  std::fill_n(into, kNumbers, 0.0);
  const uint64_t nowMs = monotonicMs();
  for (const Column& column : mapping_->columns()) {
    const AddressStats& stats = column.addresses[slot];
    into[0] += static_cast<double>(stats.requests);
    into[1] += static_cast<double>(stats.connects);
    into[2] += static_cast<double>(stats.connectFailures);
    into[3] += stats.inFlight;
    into[4] += stats.idleConnections;
    into[5] += static_cast<double>(stats.retries);
    into[6] += static_cast<double>(stats.failures);
    into[7] += static_cast<double>(stats.ejections);
    const uint64_t ejectedUntilMs = peek(stats.ejectedUntilMs);
    if (ejectedUntilMs <= nowMs) continue;
    into[8] += 1;
    into[9] = std::max(into[9], static_cast<double>(ejectedUntilMs - nowMs));
  }
  return info.Env().Undefined();
}

Napi::Value SharedBlockBinding::readDeployment(const Napi::CallbackInfo& info) {
  uint32_t slot = 0;
  if (!number(info, kDeploymentSlotsMax, slot)) return {};
  double* into = target(info, 1, 4);
  if (into == nullptr) return {};
  std::fill_n(into, 4, 0.0);
  for (const Column& column : mapping_->columns()) {
    const LimitWords& words = column.limits[slot];
    into[0] += words.reserved.load(std::memory_order_relaxed);
    into[1] += words.waiting.load(std::memory_order_relaxed);
    into[2] += static_cast<double>(words.refusedFull);
    into[3] += static_cast<double>(words.refusedDeadline);
  }
  return info.Env().Undefined();
}

Napi::Value SharedBlockBinding::readRefusals(const Napi::CallbackInfo& info) {
  uint32_t unused = 0;
  if (!number(info, 0, unused)) return {};
  double* into = target(info, 0, kRefusalsMax);
  if (into == nullptr) return {};
  std::fill_n(into, kRefusalsMax, 0.0);
  for (const Column& column : mapping_->columns()) {
    for (size_t i = 0; i < kRefusalsMax; ++i) {
      into[i] += static_cast<double>(column.header.refusals[i]);
    }
  }
  return info.Env().Undefined();
}

Napi::Value SharedBlockBinding::connectionsRefused(const Napi::CallbackInfo& info) {
  uint32_t unused = 0;
  if (!number(info, 0, unused)) return {};
  double sum = 0;
  for (const Column& column : mapping_->columns()) {
    sum += static_cast<double>(peek(column.header.connectionsRefused));
  }
  return Napi::Number::New(info.Env(), sum);
}

Napi::Value SharedBlockBinding::readWorker(const Napi::CallbackInfo& info) {
  uint32_t worker = 0;
  const size_t workers = mapping_ == nullptr ? 0 : mapping_->workers();
  if (!number(info, workers, worker)) return {};
  double* into = target(info, 1, 7);
  if (into == nullptr) return {};
  const ColumnHeader& header = mapping_->column(worker).header;
  into[0] = static_cast<double>(header.heartbeat.load(std::memory_order_relaxed));
  into[1] = static_cast<double>(header.revision.load(std::memory_order_acquire));
  into[2] = static_cast<double>(header.oldestRevision.load(std::memory_order_acquire));
  into[3] = header.revisionsHeld.load(std::memory_order_relaxed);
  into[4] = header.connectionsOpen;
  into[5] = header.exchangesLive;
  into[6] = static_cast<double>(peek(header.connectionsRefused));
  return info.Env().Undefined();
}

Napi::Value SharedBlockBinding::retire(const Napi::CallbackInfo& info) {
  uint32_t worker = 0;
  const size_t workers = mapping_ == nullptr ? 0 : mapping_->workers();
  if (number(info, workers, worker)) mapping_->retire(worker);
  return info.Env().Undefined();
}

Napi::Value SharedBlockBinding::clearEntitySlot(const Napi::CallbackInfo& info) {
  uint32_t slot = 0;
  if (!number(info, kEntitySlotsMax, slot)) return {};
  for (Column& column : mapping_->columns()) clearEntity(column, slot);
  return info.Env().Undefined();
}

Napi::Value SharedBlockBinding::clearAddressSlot(const Napi::CallbackInfo& info) {
  uint32_t slot = 0;
  if (!number(info, kAddressSlotsMax, slot)) return {};
  for (Column& column : mapping_->columns()) clearAddress(column, slot);
  return info.Env().Undefined();
}

Napi::Value SharedBlockBinding::clearDeploymentSlot(const Napi::CallbackInfo& info) {
  uint32_t slot = 0;
  if (!number(info, kDeploymentSlotsMax, slot)) return {};
  for (Column& column : mapping_->columns()) clearDeployment(column, slot);
  return info.Env().Undefined();
}

Napi::Value SharedBlockBinding::close(const Napi::CallbackInfo& info) {
  mapping_.reset();
  return info.Env().Undefined();
}

namespace {

Napi::Value wrap(Napi::Env env, std::shared_ptr<SharedMapping> mapping) {
  auto external = Napi::External<std::shared_ptr<SharedMapping>>::New(env, &mapping);
  return env.GetInstanceData<AddonData>()->sharedBlock.New({external});
}

// createSharedBlock(workers): {block, controlDescriptor, columnsDescriptor}
Napi::Value createSharedBlock(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  const uint32_t workers = info[0].As<Napi::Number>().Uint32Value();
  if (workers == 0 || workers > kWorkersMax) {
    Napi::RangeError::New(env, "workers: must be from 1 to 256").ThrowAsJavaScriptException();
    return {};
  }
  int controlFd = -1;
  int columnsFd = -1;
  std::shared_ptr<SharedMapping> mapping = SharedMapping::create(workers, controlFd, columnsFd);
  if (mapping == nullptr) return throwErrno(env, errno, "memfd_create");
  Napi::Object result = Napi::Object::New(env);
  result.Set("block", wrap(env, std::move(mapping)));
  result.Set("controlDescriptor", controlFd);
  result.Set("columnsDescriptor", columnsFd);
  return result;
}

// openSharedBlock(controlDescriptor, columnsDescriptor): the block
Napi::Value openSharedBlock(const Napi::CallbackInfo& info) {
  std::shared_ptr<SharedMapping> mapping = SharedMapping::open(
      info[0].As<Napi::Number>().Int32Value(), info[1].As<Napi::Number>().Int32Value());
  if (mapping == nullptr) return throwErrno(info.Env(), errno, "mmap");
  return wrap(info.Env(), std::move(mapping));
}

}  // namespace

std::shared_ptr<SharedMapping> sharedMappingOf(const Napi::Value& value) {
  if (!value.IsObject()) return nullptr;
  const auto object = value.As<Napi::Object>();
  const auto& constructor = value.Env().GetInstanceData<AddonData>()->sharedBlock;
  // Unwrapping anything else would read foreign memory as ours.
  if (!object.InstanceOf(constructor.Value())) return nullptr;
  return SharedBlockBinding::Unwrap(object)->mapping();
}

void defineSharedBlock(Napi::Env env, Napi::Object exports) {
  env.GetInstanceData<AddonData>()->sharedBlock = Napi::Persistent(SharedBlockBinding::define(env));
  exports.Set("createSharedBlock",
              Napi::Function::New<createSharedBlock>(env, "createSharedBlock"));
  exports.Set("openSharedBlock", Napi::Function::New<openSharedBlock>(env, "openSharedBlock"));
}

}  // namespace pointsman
