// Runs the response parser over bytes cut in any way and writes down what it reported.
//
// Shared by the parser's test and its fuzz target: the record is the oracle, equal for all cuts of
// the same bytes. Every piece lies in memory of its own that is freed before the next one comes, so
// that AddressSanitizer sees a view that outlives its input.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "http1/response_parser.h"

namespace pointsman::test {

struct DriveOptions {
  bool isHeadRequest = false;
  bool endsStream = true;
  size_t headBytesMax = kResponseHeadBytesMax;
};

class ResponseDriver {
 public:
  explicit ResponseDriver(const DriveOptions& options)
      : options_(options), parser_(options.headBytesMax) {
    parser_.reset(options.isHeadRequest);
  }

  // Feeds `bytes` cut behind each of the ascending offsets in `cuts`, and answers the record:
  //
  //   head 200 1.1 [OK] length=5 content-length=5|Content-Length:5|Date:x body[hello] end reusable
  //
  // ending in "end reusable", "end", "error <name>" or "more".
  std::string drive(std::string_view bytes, std::span<const size_t> cuts) {
    size_t start = 0;
    for (const size_t cut : cuts) {
      feed(bytes.substr(start, cut - start));
      start = cut;
    }
    feed(bytes.substr(start));
    if (isOpen_ && options_.endsStream) note(parser_.finish());
    return record();
  }

 private:
  void feed(std::string_view bytes) {
    if (!isOpen_) {
      hasLeftover_ = hasLeftover_ || !bytes.empty();
      return;
    }
    const std::vector<char> piece(bytes.begin(), bytes.end());
    std::string_view input(piece.data(), piece.size());
    while (isOpen_) {
      const ResponseParser::Step step = parser_.next(input);
      if (step.consumed > input.size()) return breakContract("consumed more than the input");
      input.remove_prefix(step.consumed);
      note(step);
      if (step.kind == StepKind::kNeedMore) {
        if (!input.empty()) breakContract("left input and wants more");
        return;
      }
    }
    hasLeftover_ = !input.empty();
  }

  void note(const ResponseParser::Step& step) {
    switch (step.kind) {
      case StepKind::kNeedMore:
        return;
      case StepKind::kHead:
        return noteHead();
      case StepKind::kBodyData:
        if (step.body.empty()) breakContract("empty body data");
        body_.append(step.body);
        return;
      case StepKind::kEnd:
        isOpen_ = false;
        isEnd_ = true;
        return;
      case StepKind::kError:
        isOpen_ = false;
        error_ = step.error;
        if (parser_.next("x").error != error_ || parser_.isReusable()) {
          breakContract("goes on after an error");
        }
        return;
    }
  }

  void noteHead() {
    static constexpr std::string_view kFramings[] = {"none", "length", "chunked", "eof"};
    if (!head_.empty()) breakContract("second head");
    head_ = "head " + std::to_string(parser_.status());
    head_.append(parser_.isHttp11() ? " 1.1 [" : " 1.0 [").append(parser_.reason()).append("] ");
    head_.append(kFramings[static_cast<size_t>(parser_.framing())]);
    if (parser_.contentLength()) head_ += "=" + std::to_string(*parser_.contentLength());
    for (const HeaderField& field : parser_.fields()) {
      head_.append("|").append(field.name).append(":").append(field.value);
    }
    head_ += ' ';
  }

  // No input leads here; no other record starts like this one.
  void breakContract(std::string_view how) {
    head_ = std::string("CONTRACT BROKEN: ").append(how).append(" behind: ").append(head_);
    isOpen_ = false;
  }

  std::string record() const {
    std::string text = head_;
    if (!body_.empty()) text += "body[" + body_ + "] ";
    if (error_ != ParseError::kNone) return text.append("error ").append(parseErrorName(error_));
    if (!isEnd_) return text + "more";
    return text + (parser_.isReusable() && !hasLeftover_ ? "end reusable" : "end");
  }

  DriveOptions options_;
  ResponseParser parser_;
  bool isOpen_ = true;
  bool isEnd_ = false;
  bool hasLeftover_ = false;
  ParseError error_ = ParseError::kNone;
  std::string head_;
  std::string body_;
};

inline std::string driveResponse(std::string_view bytes, std::span<const size_t> cuts,
                                 const DriveOptions& options) {
  return ResponseDriver(options).drive(bytes, cuts);
}

}  // namespace pointsman::test
