#include "binding/nursery.h"

#include <fcntl.h>
#include <spawn.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>

namespace pointsman {

namespace {

constexpr int kFirstDescriptor = STDOUT_FILENO;

std::vector<char*> pointersTo(const std::vector<std::string>& texts) {
  std::vector<char*> result;
  result.reserve(texts.size() + 1);
  // NOLINTNEXTLINE: the C API wants them so and changes nothing
  for (const std::string& text : texts) result.push_back(const_cast<char*>(text.c_str()));
  result.push_back(nullptr);
  return result;
}

// Copies above the numbers that the process gets them under, so that none is overwritten before it
// is used. Closed with this.
class Copies {
 public:
  // Answers 0 or an errno.
  int make(const std::vector<int>& descriptors) {
    const int first = kFirstDescriptor + static_cast<int>(descriptors.size());
    for (const int fd : descriptors) {
      const int copy = fcntl(fd, F_DUPFD_CLOEXEC, first);
      if (copy < 0) return errno;
      list_.push_back(copy);
    }
    return 0;
  }
  Copies() = default;
  Copies(const Copies&) = delete;
  Copies& operator=(const Copies&) = delete;
  ~Copies() {
    for (const int fd : list_) close(fd);
  }
  const std::vector<int>& list() const noexcept { return list_; }

 private:
  std::vector<int> list_;
};

// Node ignores SIGPIPE and blocks signals in some threads; a program expects neither.
int resetSignals(posix_spawnattr_t& attributes) {
  sigset_t none;
  sigset_t all;
  sigemptyset(&none);
  sigfillset(&all);
  posix_spawnattr_setsigmask(&attributes, &none);
  posix_spawnattr_setsigdefault(&attributes, &all);
  return posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
}

int start(const Launch& launch, pid_t& pid) {
  // Node makes its own output close-on-exec too.
  std::vector<int> descriptors{STDOUT_FILENO, STDERR_FILENO};
  descriptors.insert(descriptors.end(), launch.descriptors.begin(), launch.descriptors.end());
  Copies copies;
  int error = copies.make(descriptors);
  if (error != 0) return error;
  posix_spawn_file_actions_t actions;
  posix_spawnattr_t attributes;
  posix_spawn_file_actions_init(&actions);
  posix_spawnattr_init(&attributes);
  error = resetSignals(attributes);
  if (error == 0) {
    error = posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
  }
  int target = kFirstDescriptor;
  for (const int fd : copies.list()) {
    if (error == 0) error = posix_spawn_file_actions_adddup2(&actions, fd, target++);
  }
  if (error == 0) {
    const std::vector<char*> arguments = pointersTo(launch.arguments);
    const std::vector<char*> environment = pointersTo(launch.environment);
    error = posix_spawn(&pid, arguments[0], &actions, &attributes, arguments.data(),
                        environment.data());
  }
  posix_spawnattr_destroy(&attributes);
  posix_spawn_file_actions_destroy(&actions);
  return error;
}

}  // namespace

Nursery::Nursery() : thread_([this] { run(); }) {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [this] { return threadId_ != 0; });
}

Nursery::~Nursery() {
  {
    const std::lock_guard lock(mutex_);
    isOver_ = true;
  }
  changed_.notify_all();
  thread_.join();
}

int Nursery::spawn(const Launch& launch, pid_t& pid) {
  std::unique_lock lock(mutex_);
  wanted_ = &launch;
  changed_.notify_all();
  changed_.wait(lock, [this] { return wanted_ == nullptr; });
  pid = pid_;
  return error_;
}

void Nursery::run() {
  std::unique_lock lock(mutex_);
  threadId_ = static_cast<pid_t>(syscall(SYS_gettid));
  changed_.notify_all();
  for (;;) {
    changed_.wait(lock, [this] { return isOver_ || wanted_ != nullptr; });
    if (wanted_ == nullptr) return;
    error_ = start(*wanted_, pid_);
    wanted_ = nullptr;
    changed_.notify_all();
  }
}

}  // namespace pointsman
