// The text of the requests that a load program sends: one for all, or each with a token of its own.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "client.h"

namespace pointsman::bench {

// Three kinds: the same text again and again; `options.tokens` names a file, and request i carries
// its line i, each sent once; with `options.varied` the file's first token is sent for ever, each
// time with another signature, which is wrong.
class RequestSource {
 public:
  // Ends the program with a message when the file cannot be read or holds no token.
  explicit RequestSource(const ClientOptions& options);

  // How many there are; UINT64_MAX: no end.
  uint64_t size() const noexcept { return size_; }
  size_t bodyBytes() const noexcept { return bodyBytes_; }
  // The next one. `storage` is the caller's, reused, and may hold what is answered.
  std::string_view next(std::string& storage);

 private:
  void vary();

  // With a token: what stands before and behind it.
  std::string text_;
  std::string rest_;
  size_t bodyBytes_ = 0;
  uint64_t size_ = UINT64_MAX;
  uint64_t number_ = 0;
  std::string file_;
  std::vector<std::string_view> tokens_;
  // With `varied`: the token, and where in it the letters lie that change.
  std::string varied_;
  size_t variedAt_ = 0;
};

}  // namespace pointsman::bench
