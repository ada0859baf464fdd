// Replays the seeds of the fuzz targets under the sanitizers: what they found once stays found, and
// the suite needs no clang for it. The tables of requests go through the same oracles.
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "fuzz/request_check.h"
#include "fuzz/response_check.h"
#include "test/check.h"
#include "test/request_body_cases.h"

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

void checkRequestCases() {
  // The default limits, and a seed for the cuts.
  const std::vector<uint8_t> choices = {0, 'c'};
  for (const test::RequestCase& one : test::allRequestCases()) {
    std::vector<uint8_t> data = choices;
    data.insert(data.end(), one.bytes.begin(), one.bytes.end());
    CHECK_EQUAL(fuzz::checkRequestBytes(data.data(), data.size()), "");
  }
}

}  // namespace
}  // namespace pointsman

int main() {
  pointsman::replay("request_parser", pointsman::fuzz::checkRequestBytes);
  pointsman::replay("response_parser", pointsman::fuzz::checkResponseBytes);
  pointsman::checkRequestCases();
  return pointsman::test::finishChecks();
}
