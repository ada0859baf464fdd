// Lets LeakSanitizer see what V8's heap points to: a library that tools/asan.mjs preloads behind
// libasan.
//
// LeakSanitizer looks for pointers in stacks, globals and malloc'ed memory. V8 maps its heap by
// itself, so that whatever only a JS object holds would count as leaked. At exit, before the check,
// all private anonymous memory but the sanitizer's own is made known to it. Address ranges are
// those of x86-64.
//
// Processes that have not loaded the addon are not checked. One that is appends a byte
// to the file LEAK_ROOTS_COUNT. LEAK_ROOTS_PROBE makes it leak a block: proof that leaks are found
// where this runs.
#include <fcntl.h>
#include <unistd.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>

// NOLINTBEGIN: the sanitizer's names
extern "C" void __lsan_register_root_region(const void* begin, size_t bytes) __attribute__((weak));
extern "C" int __lsan_do_recoverable_leak_check() __attribute__((weak));
// NOLINTEND

namespace {

struct Range {
  uint64_t begin;
  uint64_t end;
};

// Shadow memory, and the allocator whose unreachable blocks are looked for.
constexpr Range kShadow{0x00007fff7000, 0x10007fff8000};
constexpr Range kAllocator{0x600000000000, 0x640000000000};

bool overlap(const Range& one, const Range& other) {
  return one.begin < other.end && other.begin < one.end;
}

constexpr const char* kAddon = "/pointsman.node";

// Answers whether the addon is loaded.
bool addRoots() {
  FILE* maps = std::fopen("/proc/self/maps", "re");
  if (maps == nullptr) return false;
  bool hasAddon = false;
  char line[4096];
  while (std::fgets(line, sizeof line, maps) != nullptr) {
    unsigned long long begin = 0;
    unsigned long long end = 0;
    unsigned long long inode = 0;
    char rights[5] = {};
    hasAddon = hasAddon || std::strstr(line, kAddon) != nullptr;
    if (std::sscanf(line, "%llx-%llx %4s %*x %*x:%*x %llu", &begin, &end, rights, &inode) != 4) {
      continue;
    }
    const Range range{.begin = begin, .end = end};
    const bool isHeap = std::strcmp(rights, "rw-p") == 0 && inode == 0;
    // Stacks and the like have names and are known.
    if (!isHeap || std::strchr(line, '[') != nullptr) continue;
    if (overlap(range, kShadow) || overlap(range, kAllocator)) continue;
    __lsan_register_root_region(reinterpret_cast<const void*>(begin), end - begin);
  }
  std::fclose(maps);
  return hasAddon;
}

void note() {
  const char* file = std::getenv("LEAK_ROOTS_COUNT");
  if (file == nullptr) return;
  const int fd = open(file, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
  if (fd < 0) return;
  (void)!write(fd, ".", 1);
  close(fd);
}

void* volatile held = nullptr;

__attribute__((noinline)) void leakOnPurpose() {
  // Several, since a pointer to the last may be left in a register.
  for (int i = 0; i < 10; i++) held = std::malloc(777);
  held = nullptr;
}

bool isProbe() {
  return std::getenv("LEAK_ROOTS_PROBE") != nullptr;
}

// LeakSanitizer's own check at exit comes before whatever a library can register, so it is switched
// off (leak_check_at_exit=0) and made here.
void check() {
  // Without the addon there is nothing of ours to find, and naming what Node leaves takes seconds.
  if (!addRoots() && !isProbe()) return;
  note();
  (void)__lsan_do_recoverable_leak_check();
}

__attribute__((constructor)) void arm() {
  if (__lsan_register_root_region == nullptr) return;
  std::atexit(check);
  if (isProbe()) leakOnPurpose();
}

}  // namespace
