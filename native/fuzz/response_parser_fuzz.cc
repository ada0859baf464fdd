// libFuzzer target: whatever the bytes, the parser neither crashes nor reports differently for
// another cut.
//
// The first two bytes choose the kind of request, whether the stream ends, the bound of the head,
// and the cut; the rest is the answer. Build and run:
//
//   clang++ -std=c++20 -g -O1 -fsanitize=fuzzer,address,undefined -fno-exceptions -Inative
//     native/fuzz/response_parser_fuzz.cc native/http1/*.cc -o build/response_parser_fuzz
//   build/response_parser_fuzz -dict=native/fuzz/http1.dict -max_len=4096 CORPUS_FOLDER
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

#include "test/response_driver.h"

namespace {

// Cut points from a seed: pieces of 1 to `longest` bytes.
std::vector<size_t> makeCuts(size_t size, uint32_t seed, size_t longest) {
  std::vector<size_t> cuts;
  for (size_t at = 0; at < size;) {
    seed = seed * 1'664'525U + 1'013'904'223U;
    at += 1 + (seed >> 16) % longest;
    if (at < size) cuts.push_back(at);
  }
  return cuts;
}

}  // namespace

// NOLINTNEXTLINE(readability-identifier-naming): the name is libFuzzer's.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 2) return 0;
  const std::string bytes(data + 2, data + size);
  pointsman::test::DriveOptions options;
  options.isHeadRequest = (data[0] & 1) != 0;
  options.endsStream = (data[0] & 2) != 0;
  if ((data[0] & 4) != 0) options.headBytesMax = 64 + data[1];

  const std::string whole = pointsman::test::driveResponse(bytes, {}, options);
  for (const size_t longest : {size_t{1}, size_t{7}, size_t{64}}) {
    const std::vector<size_t> cuts = makeCuts(bytes.size(), data[1], longest);
    const std::string pieces = pointsman::test::driveResponse(bytes, cuts, options);
    if (pieces != whole || whole.find("CONTRACT BROKEN") != std::string::npos) std::abort();
  }
  return 0;
}
