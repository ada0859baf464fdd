#include "binding/scheduling.h"

#include <dirent.h>
#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstdint>
#include <cstdlib>

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

constexpr uint64_t kNsPerMs = 1'000'000;

// A policy that an operator chose, such as a real-time one, is left alone; so is the nice value.
bool setSlice(pid_t thread, uint64_t sliceNs) {
  SchedulingAttributes attributes{};
  if (syscall(SYS_sched_getattr, thread, &attributes, sizeof attributes, 0) != 0) return false;
  if (attributes.policy != SCHED_OTHER && attributes.policy != SCHED_BATCH) return false;
  attributes.flags = 0;
  attributes.runtimeNs = sliceNs;
  return syscall(SYS_sched_setattr, thread, &attributes, 0) == 0;
}

bool setSliceOfAllThreads(uint64_t sliceNs) {
  DIR* threads = opendir("/proc/self/task");
  if (threads == nullptr) return false;
  bool all = true;
  while (const dirent* entry = readdir(threads)) {
    const auto thread = static_cast<pid_t>(std::strtol(entry->d_name, nullptr, 10));
    if (thread > 0) all = setSlice(thread, sliceNs) && all;
  }
  closedir(threads);
  return all;
}

// setTimeSlice(ms, allThreads)
Napi::Value setTimeSlice(const Napi::CallbackInfo& info) {
  const uint64_t sliceNs = info[0].As<Napi::Number>().Uint32Value() * kNsPerMs;
  const bool all = info[1].As<Napi::Boolean>().Value();
  const bool taken = all ? setSliceOfAllThreads(sliceNs) : setSlice(0, sliceNs);
  return Napi::Boolean::New(info.Env(), taken);
}

}  // namespace

void defineScheduling(Napi::Env env, Napi::Object exports) {
  exports.Set("setTimeSlice", Napi::Function::New<setTimeSlice>(env, "setTimeSlice"));
}

}  // namespace pointsman
