#include "binding/processes.h"

#include <pthread.h>
#include <sys/wait.h>

#include <cerrno>
#include <csignal>
#include <memory>

#include "binding/addon_data.h"
#include "binding/errno.h"
#include "binding/js.h"
#include "binding/nursery.h"

namespace pointsman {

namespace {

// Waits for one process in a thread of its own. Owned by the thread, then by the call into JS.
struct Watch {
  pid_t pid;
  Napi::ThreadSafeFunction onExit;
};

// On the environment's thread. The number of the process is free for another from here on, so that
// JS cannot have killed a stranger.
void tell(Napi::Env env, Napi::Function onExit, Watch* watch) {
  const std::unique_ptr<Watch> owned(watch);
  int status = 0;
  if (waitpid(watch->pid, &status, 0) != watch->pid || env == nullptr) return;
  const bool isSignal = WIFSIGNALED(status);
  onExit.Call({isSignal ? env.Null() : Napi::Number::New(env, WEXITSTATUS(status)),
               isSignal ? Napi::Number::New(env, WTERMSIG(status)) : env.Null()});
}

void* watchProcess(void* argument) {
  auto* watch = static_cast<Watch*>(argument);
  Napi::ThreadSafeFunction onExit = watch->onExit;
  siginfo_t info{};
  // Leaves it to be waited for.
  while (waitid(P_PID, static_cast<id_t>(watch->pid), &info, WEXITED | WNOWAIT) != 0 &&
         errno == EINTR) {
  }
  if (onExit.NonBlockingCall(watch, tell) == napi_closing) {
    // The environment has ended: nobody wants to know, and the function is gone.
    delete watch;  // NOLINT: made by spawnProcess
    return nullptr;
  }
  onExit.Release();
  return nullptr;
}

bool startWatching(Watch* watch) {
  constexpr size_t kStackBytes = size_t{256} * 1024;
  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  pthread_attr_setstacksize(&attributes, kStackBytes);
  pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
  pthread_t thread{};
  const int error = pthread_create(&thread, &attributes, watchProcess, watch);
  pthread_attr_destroy(&attributes);
  return error == 0;
}

std::vector<std::string> texts(const Napi::Value& value) {
  std::vector<std::string> result;
  if (!value.IsArray()) return result;
  const auto list = value.As<Napi::Array>();
  for (uint32_t index = 0; index < list.Length(); index++) {
    result.push_back(list.Get(index).ToString().Utf8Value());
  }
  return result;
}

// openNursery()
Napi::Value openNursery(const Napi::CallbackInfo& info) {
  auto& nursery = info.Env().GetInstanceData<AddonData>()->nursery;
  if (nursery == nullptr) nursery = std::make_unique<Nursery>();
  return info.Env().Undefined();
}

// spawnProcess(arguments, environment, descriptors, onExit): pid
Napi::Value spawnProcess(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  if (!info[2].IsArray() || !info[3].IsFunction()) {
    Napi::TypeError::New(env, "spawnProcess needs (arguments, environment, descriptors, onExit)")
        .ThrowAsJavaScriptException();
    return {};
  }
  openNursery(info);
  const Launch launch{.arguments = texts(info[0]),
                      .environment = texts(info[1]),
                      .descriptors = js::integers(info[2].As<Napi::Array>())};
  if (launch.arguments.empty()) return throwErrno(env, EINVAL, "spawn");
  pid_t pid = 0;
  const int error = env.GetInstanceData<AddonData>()->nursery->spawn(launch, pid);
  if (error != 0) return throwErrno(env, error, "spawn");
  // NOLINTNEXTLINE: the thread takes it, then `tell`
  auto* watch = new Watch{pid, Napi::ThreadSafeFunction::New(env, info[3].As<Napi::Function>(),
                                                             "pointsman worker", 0, 1)};
  if (!startWatching(watch)) {
    watch->onExit.Release();
    delete watch;  // NOLINT: as above
    kill(pid, SIGKILL);
    waitpid(pid, nullptr, 0);
    return throwErrno(env, EAGAIN, "spawn");
  }
  return Napi::Number::New(env, pid);
}

}  // namespace

void defineProcesses(Napi::Env env, Napi::Object exports) {
  exports.Set("openNursery", Napi::Function::New<openNursery>(env, "openNursery"));
  exports.Set("spawnProcess", Napi::Function::New<spawnProcess>(env, "spawnProcess"));
}

}  // namespace pointsman
