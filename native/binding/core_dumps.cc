#include "binding/core_dumps.h"

#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

namespace pointsman {

namespace {

// A handler that is a pipe is started whatever the limit says (core(5)); of a process with this
// filter it gets no memory. PR_SET_DUMPABLE would do both, but hides the process from its own
// user's tools: descriptors, memory maps, debuggers.
bool emptyTheFilter() {
  const int fd = open("/proc/self/coredump_filter", O_WRONLY | O_CLOEXEC);
  if (fd < 0) return false;
  const bool written = write(fd, "0", 1) == 1;
  close(fd);
  return written;
}

// The hard limit stays, so that an operator can allow dumps of a running process (prlimit(1)).
bool lowerTheLimit() {
  rlimit limit{};
  if (getrlimit(RLIMIT_CORE, &limit) != 0) return false;
  limit.rlim_cur = 0;
  return setrlimit(RLIMIT_CORE, &limit) == 0;
}

Napi::Value disableCoreDumps(const Napi::CallbackInfo& info) {
  const bool isLimited = lowerTheLimit();
  const bool isFiltered = emptyTheFilter();
  return Napi::Boolean::New(info.Env(), isLimited && isFiltered);
}

}  // namespace

void defineCoreDumps(Napi::Env env, Napi::Object exports) {
  exports.Set("disableCoreDumps", Napi::Function::New<&disableCoreDumps>(env, "disableCoreDumps"));
}

}  // namespace pointsman
