// Runs the request parser over bytes cut in any way and writes down what it reported.
//
// Shared by the parser's tests and its fuzz target: the record is the oracle, equal for all cuts of
// the same bytes. Every piece lies in memory of its own that is freed before the next one comes, so
// that AddressSanitizer sees a view that outlives its input.
#pragma once

#include <cstddef>
#include <cstdlib>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "http1/request_parser.h"

namespace pointsman::test {

class RequestDriver {
 public:
  explicit RequestDriver(const RequestLimits& limits) : parser_(limits) {}

  // Feeds `bytes` cut behind each of the ascending offsets in `cuts`, and answers the record, all
  // messages of the connection behind each other:
  //
  //   POST /p?q @host 1.1 length=5 keep continue |Name:value|Name:value body[hello] end
  //
  // and at last "more <started>", or "error <name>" instead of a head or behind part of a body.
  std::string drive(std::string_view bytes, std::span<const size_t> cuts) {
    size_t start = 0;
    for (const size_t cut : cuts) {
      feed(bytes.substr(start, cut - start));
      start = cut;
    }
    feed(bytes.substr(start));
    flushBody();
    if (isOpen_) record_ += parser_.hasStarted() ? "more started" : "more";
    return record_;
  }

  // How many messages came to their end.
  size_t endCount() const noexcept { return endCount_; }

 private:
  void feed(std::string_view bytes) {
    const std::vector<char> piece(bytes.begin(), bytes.end());
    std::string_view input(piece.data(), piece.size());
    while (isOpen_) {
      const RequestParser::Step step = parser_.next(input);
      if (step.consumed > input.size()) return breakContract("consumed more than the input");
      input.remove_prefix(step.consumed);
      note(step);
      if (step.kind == RequestStepKind::kNeedMore) {
        if (!input.empty()) breakContract("left input and wants more");
        return;
      }
    }
  }

  void note(const RequestParser::Step& step) {
    const bool isBody = step.kind == RequestStepKind::kBodyData;
    if (isBody == step.body.empty()) return breakContract("body data and kind differ");
    if ((step.kind == RequestStepKind::kError) != (step.error != RequestError::kNone)) {
      return breakContract("error and kind differ");
    }
    switch (step.kind) {
      case RequestStepKind::kNeedMore:
        return;
      case RequestStepKind::kHead:
        return noteHead();
      case RequestStepKind::kBodyData:
        if (!hasHead_) return breakContract("body before the head");
        body_.append(step.body);
        bodyBytes_ += step.body.size();
        return;
      case RequestStepKind::kEnd:
        return noteEnd();
      case RequestStepKind::kError:
        return noteError(step.error);
    }
  }

  void noteHead() {
    if (hasHead_) return breakContract("second head");
    if (!parser_.headComplete() || !parser_.hasStarted()) return breakContract("head is not there");
    hasHead_ = true;
    record_.append(parser_.method()).append(" ").append(parser_.path());
    if (!parser_.query().empty()) record_.append("?").append(parser_.query());
    record_.append(" @").append(parser_.host()).append(parser_.isHttp10() ? " 1.0" : " 1.1");
    if (parser_.contentLength() < 0) record_ += " chunked";
    if (parser_.contentLength() > 0)
      record_ += " length=" + std::to_string(parser_.contentLength());
    record_ += parser_.keepAlive() ? " keep" : " close";
    if (parser_.expectsContinue()) record_ += " continue";
    if (!parser_.authorization().empty()) record_.append(" auth=").append(parser_.authorization());
    if (!parser_.requestId().empty()) record_.append(" id=").append(parser_.requestId());
    record_ += ' ';
    noteFields(parser_.fields());
  }

  void noteFields(std::string_view fields) {
    while (!fields.empty()) {
      const size_t end = fields.find("\r\n");
      const size_t colon = fields.find(": ");
      if (end == std::string_view::npos || colon > end) return breakContract("no normal field");
      const std::string_view value = fields.substr(colon + 2, end - colon - 2);
      record_.append("|").append(fields.substr(0, colon)).append(":").append(value);
      fields.remove_prefix(end + 2);
      if (fields.empty()) record_ += ' ';
    }
  }

  void noteEnd() {
    flushBody();
    if (!hasHead_) return breakContract("end before the head");
    const auto length = parser_.contentLength();
    if (length >= 0 && bodyBytes_ != static_cast<uint64_t>(length)) {
      return breakContract("the body is not as long as it should be");
    }
    const RequestParser::Step again = parser_.next("x");
    if (again.kind != RequestStepKind::kEnd || again.consumed != 0) {
      return breakContract("takes bytes behind the end");
    }
    record_ += "end ";
    ++endCount_;
    hasHead_ = false;
    bodyBytes_ = 0;
    parser_.reset();
  }

  void noteError(RequestError error) {
    flushBody();
    isOpen_ = false;
    record_.append("error ").append(nameOf(error));
    const int status = statusOf(error);
    if (status < 400 || status > 505) breakContract("an error without a status");
    if (parser_.headComplete() != hasHead_) breakContract("a head that is not there");
    if (!hasHead_ && !(parser_.method().empty() && parser_.fields().empty())) {
      breakContract("shows parts of a head that was refused");
    }
    for (const std::string_view more : {"", "x", "GET / HTTP/1.1\r\nHost: a\r\n\r\n"}) {
      if (parser_.next(more).error != error) breakContract("goes on after an error");
    }
  }

  void flushBody() {
    if (!body_.empty()) record_ += "body[" + body_ + "] ";
    body_.clear();
  }

  // No input leads here; no other record starts like this one.
  void breakContract(std::string_view how) {
    record_ = std::string("CONTRACT BROKEN: ").append(how).append(" behind: ").append(record_);
    isOpen_ = false;
  }

  RequestParser parser_;
  bool isOpen_ = true;
  bool hasHead_ = false;
  size_t endCount_ = 0;
  uint64_t bodyBytes_ = 0;
  std::string record_;
  std::string body_;
};

inline std::string driveRequest(std::string_view bytes, std::span<const size_t> cuts,
                                const RequestLimits& limits = {}) {
  return RequestDriver(limits).drive(bytes, cuts);
}

}  // namespace pointsman::test
