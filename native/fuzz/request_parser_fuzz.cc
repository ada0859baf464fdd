// libFuzzer target: request_check.h says what is checked. Built and run by native/fuzz/run.mjs.
#include <cstdint>
#include <cstdlib>
#include <iostream>
#include <string>

#include "fuzz/request_check.h"

// NOLINTNEXTLINE(readability-identifier-naming): the name is libFuzzer's.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string complaint = pointsman::fuzz::checkRequestBytes(data, size);
  if (complaint.empty()) return 0;
  std::cerr << complaint << '\n';
  std::abort();
}
