// What passed through when nothing failed, as the measure of what may pass when something does.
#pragma once

#include <set>
#include <string>
#include <string_view>

#include "test/check.h"
#include "test/net/fake_replica.h"

namespace pointsman::test {

class Seen {
 public:
  // The first run is to be learned from; all others are to be checked.
  void startChecking() { isChecking_ = true; }

  void note(std::string text) {
    if (!isChecking_) {
      texts_.insert(std::move(text));
    } else if (!CHECK(texts_.contains(text))) {
      std::cerr << "not seen without faults:\n" << text.substr(0, 2'000) << '\n';
    }
  }

  // Whole requests; of chunked ones the heads, because chunks are as the bytes came.
  void noteRequestsOf(FakeReplica& replica) {
    for (size_t i = 0; i < replica.connectionCount(); i++) {
      for (const std::string& request : replica.connection(i).requests()) {
        const size_t headEnd = request.find("\r\n\r\n");
        const bool isChunked = request.find("\r\ntransfer-encoding: ") < headEnd;
        note(isChunked ? request.substr(0, headEnd) : request);
      }
    }
  }

 private:
  std::set<std::string> texts_{};
  bool isChecking_ = false;
};

}  // namespace pointsman::test
