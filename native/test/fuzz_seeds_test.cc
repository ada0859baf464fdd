// Replays the seeds of the fuzz targets under the sanitizers: what they found once stays found, and
// the suite needs no clang for it.
#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "fuzz/request_check.h"
#include "fuzz/response_check.h"
#include "test/check.h"

namespace pointsman {
namespace {

using Check = std::string (*)(const uint8_t* data, size_t size);

void replay(const std::string& target, Check check) {
  const std::filesystem::path native = std::filesystem::path(__FILE__).parent_path().parent_path();
  std::vector<std::filesystem::path> files;
  for (const auto& entry : std::filesystem::directory_iterator(native / "fuzz/seeds" / target)) {
    files.push_back(entry.path());
  }
  CHECK(files.size() >= 50);
  for (const std::filesystem::path& file : files) {
    std::ifstream stream(file, std::ios::binary);
    const std::string bytes((std::istreambuf_iterator<char>(stream)), {});
    const std::vector<uint8_t> data(bytes.begin(), bytes.end());
    CHECK_EQUAL(file.filename().string() + ": " + check(data.data(), data.size()),
                file.filename().string() + ": ");
  }
}

}  // namespace
}  // namespace pointsman

int main() {
  pointsman::replay("request_parser", pointsman::fuzz::checkRequestBytes);
  pointsman::replay("response_parser", pointsman::fuzz::checkResponseBytes);
  return pointsman::test::finishChecks();
}
