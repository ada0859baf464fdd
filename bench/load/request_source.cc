#include "request_source.h"

#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iterator>

#include "../wire.h"

namespace pointsman::bench {

namespace {

constexpr std::string_view kLetters =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
// Six bits a letter: more than a number of 64 bits needs.
constexpr size_t kVariedLetters = 11;
// Behind the last dot. The first letters of a signature stay, so that RSA takes it for a number
// below the modulus and does all its work; the last one stays, whose unused bits must be zero.
constexpr size_t kVariedOffset = 24;

[[noreturn]] void refuse(const std::string& file, const char* what) {
  std::fprintf(stderr, "%s: %s\n", file.c_str(), what);
  std::exit(2);
}

std::string readAll(const std::string& file) {
  std::ifstream input(file, std::ios::binary);
  if (!input) refuse(file, "cannot be read");
  return {std::istreambuf_iterator<char>(input), std::istreambuf_iterator<char>()};
}

}  // namespace

RequestSource::RequestSource(const ClientOptions& options) : text_(makeRequest(options)) {
  bodyBytes_ = text_.size() - text_.find("\r\n\r\n") - 4;
  if (options.requests > 0) size_ = options.requests;
  if (options.tokens.empty()) return;
  file_ = readAll(options.tokens);
  std::string_view left = file_;
  for (size_t end = left.find('\n'); end != std::string_view::npos; end = left.find('\n')) {
    if (end > 0) tokens_.push_back(left.substr(0, end));
    left.remove_prefix(end + 1);
  }
  if (tokens_.empty()) refuse(options.tokens, "holds no token");
  const size_t cut = text_.find("\r\n") + 2;
  rest_ = "\r\n" + text_.substr(cut);
  text_ = text_.substr(0, cut) + "Authorization: Bearer ";
  if (!options.varied) {
    size_ = std::min<uint64_t>(size_, tokens_.size());
    return;
  }
  varied_ = tokens_.front();
  variedAt_ = varied_.rfind('.') + 1 + kVariedOffset;
  if (variedAt_ + kVariedLetters >= varied_.size()) refuse(options.tokens, "has a short signature");
  // No two runs send the same.
  number_ = nowNs();
}

std::string_view RequestSource::next(std::string& storage) {
  if (tokens_.empty()) return text_;
  storage = text_;
  if (varied_.empty()) {
    storage += tokens_[number_++];
  } else {
    vary();
    storage += varied_;
  }
  return storage += rest_;
}

void RequestSource::vary() {
  uint64_t bits = number_++;
  for (size_t i = 0; i < kVariedLetters; ++i, bits >>= 6) {
    varied_[variedAt_ + i] = kLetters[bits & 63];
  }
}

}  // namespace pointsman::bench
