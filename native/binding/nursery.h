// The thread that starts the worker processes.
//
// A process inherits the priority of the thread that starts it and cannot raise it again. The
// threads of the supervisor have a low one, so this thread is made before they get it and keeps
// what the daemon was started with. It does nothing but start processes; a start is over in some
// milliseconds, for which the caller waits. No Node-API in here.
#pragma once

#include <sys/types.h>

#include <condition_variable>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

namespace pointsman {

// What a process is started with. Standard input is /dev/null, standard output and error are those
// of this process, and `descriptors` are 3 and following. Nothing else that is close-on-exec here.
struct Launch {
  // Path of the program, then its arguments.
  std::vector<std::string> arguments;
  // NAME=value; all there is.
  std::vector<std::string> environment;
  std::vector<int> descriptors;
};

class Nursery {
 public:
  Nursery();
  ~Nursery();
  Nursery(const Nursery&) = delete;
  Nursery& operator=(const Nursery&) = delete;

  // Kernel's number of the thread.
  pid_t threadId() const noexcept { return threadId_; }

  // Answers 0 and sets `pid`, or answers an errno. The process is the caller's to wait for.
  int spawn(const Launch& launch, pid_t& pid);

 private:
  void run();

  std::mutex mutex_;
  std::condition_variable changed_;
  // Of the caller, while it waits in `spawn`.
  const Launch* wanted_ = nullptr;
  bool isOver_ = false;
  pid_t threadId_ = 0;
  pid_t pid_ = 0;
  int error_ = 0;
  // Last: it uses all of the above.
  std::thread thread_;
};

}  // namespace pointsman
