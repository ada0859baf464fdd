#include "binding/scheduling.h"

#include <dirent.h>
#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <cstdlib>

#include "binding/addon_data.h"

namespace pointsman {

namespace {

// struct sched_attr of the kernel in its first form; glibc has none before 2.41.
struct SchedulingAttributes {
  uint32_t bytes;
  uint32_t policy;
  uint64_t flags;
  int32_t nice;
  uint32_t priority;
  uint64_t runtimeNs;
  uint64_t deadlineNs;
  uint64_t periodNs;
};
static_assert(sizeof(SchedulingAttributes) == 48, "SCHED_ATTR_SIZE_VER0");

constexpr uint64_t kNsPerUs = 1'000;
constexpr uint64_t kResetOnFork = 1;
constexpr int32_t kNiceMax = 19;

// `thread` 0: the one that calls. A policy that an operator chose, such as a real-time one, is left
// alone.
template <class Change>
bool changeScheduling(pid_t thread, Change change) {
  SchedulingAttributes attributes{};
  if (syscall(SYS_sched_getattr, thread, &attributes, sizeof attributes, 0) != 0) return false;
  if (attributes.policy != SCHED_OTHER && attributes.policy != SCHED_BATCH) return false;
  change(attributes);
  return syscall(SYS_sched_setattr, thread, &attributes, 0) == 0;
}

// yieldToWorkers(sliceUs, niceAdded)
Napi::Value yieldToWorkers(const Napi::CallbackInfo& info) {
  const uint64_t sliceNs = info[0].As<Napi::Number>().Uint32Value() * kNsPerUs;
  const int32_t added = info[1].As<Napi::Number>().Int32Value();
  const Nursery* nursery = info.Env().GetInstanceData<AddonData>()->nursery.get();
  DIR* threads = opendir("/proc/self/task");
  bool all = threads != nullptr;
  while (threads != nullptr) {
    const dirent* entry = readdir(threads);
    if (entry == nullptr) break;
    const auto thread = static_cast<pid_t>(std::strtol(entry->d_name, nullptr, 10));
    if (thread <= 0 || (nursery != nullptr && thread == nursery->threadId())) continue;
    all = changeScheduling(thread,
                           [sliceNs, added](SchedulingAttributes& attributes) {
                             attributes.runtimeNs = sliceNs;
                             attributes.nice = std::min(attributes.nice + added, kNiceMax);
                           }) &&
          all;
  }
  if (threads != nullptr) closedir(threads);
  return Napi::Boolean::New(info.Env(), all);
}

// runAtOnce(sliceUs)
Napi::Value runAtOnce(const Napi::CallbackInfo& info) {
  const uint64_t sliceNs = info[0].As<Napi::Number>().Uint32Value() * kNsPerUs;
  const bool taken = changeScheduling(0, [sliceNs](SchedulingAttributes& attributes) {
    attributes.runtimeNs = sliceNs;
    attributes.flags |= kResetOnFork;
  });
  return Napi::Boolean::New(info.Env(), taken);
}

}  // namespace

void defineScheduling(Napi::Env env, Napi::Object exports) {
  exports.Set("yieldToWorkers", Napi::Function::New<yieldToWorkers>(env, "yieldToWorkers"));
  exports.Set("runAtOnce", Napi::Function::New<runAtOnce>(env, "runAtOnce"));
}

}  // namespace pointsman
