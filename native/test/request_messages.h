// All messages of a connection's bytes as the request parser reads them, in a form to compare with
// other readers.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "http1/request_parser.h"

namespace pointsman::test {

struct RequestMessage {
  std::string method = {};
  std::string path = {};
  std::string query = {};
  std::string host = {};
  // Lines as RequestParser::fields() has them.
  std::string fields = {};
  std::string body = {};
  bool isHttp10 = false;
  bool keepAlive = false;
  // False for the last one when it was broken off behind its head.
  bool isComplete = false;
  // Where it lies in the bytes, with the empty lines before it.
  size_t start = 0;
  size_t end = 0;
};

struct RequestMessages {
  std::vector<RequestMessage> list;
  RequestError error = RequestError::kNone;
};

inline RequestMessages readRequestMessages(std::string_view bytes, RequestLimits limits = {}) {
  RequestMessages messages;
  RequestParser parser(limits);
  size_t at = 0;
  size_t start = 0;
  for (;;) {
    const RequestParser::Step step = parser.next(bytes.substr(at));
    at += step.consumed;
    switch (step.kind) {
      case RequestStepKind::kNeedMore:
        return messages;
      case RequestStepKind::kHead:
        messages.list.push_back({.method = std::string(parser.method()),
                                 .path = std::string(parser.path()),
                                 .query = std::string(parser.query()),
                                 .host = std::string(parser.host()),
                                 .fields = std::string(parser.fields()),
                                 .isHttp10 = parser.isHttp10(),
                                 .keepAlive = parser.keepAlive(),
                                 .start = start});
        break;
      case RequestStepKind::kBodyData:
        messages.list.back().body.append(step.body);
        break;
      case RequestStepKind::kEnd:
        messages.list.back().isComplete = true;
        messages.list.back().end = at;
        start = at;
        parser.reset();
        break;
      case RequestStepKind::kError:
        messages.error = step.error;
        return messages;
    }
  }
}

}  // namespace pointsman::test
