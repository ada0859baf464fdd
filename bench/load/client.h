// What the load programs share: their options, connections to the proxy, the request's text.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "histogram.h"

namespace pointsman::bench {

struct ClientOptions {
  uint16_t port = 0;
  std::string path = "/";
  // Whole fields, "Name: value".
  std::vector<std::string> headers;
  uint32_t connections = 64;
  // Requests per second, begun at even distances whatever became of earlier ones; 0: a connection
  // begins the next request when it has its answer.
  double rate = 0;
  uint64_t durationMs = 1'000;
  size_t bodyBytes = 100;
  size_t answerBytes = 64;
  // At most so many in all; 0: as many as the time holds.
  uint64_t requests = 0;
  // See request_source.h.
  std::string tokens;
  bool varied = false;
};

// Ends the program with a message when an option is unknown or wrong. `usage` is printed then.
ClientOptions parseOptions(int argc, char** argv, const char* usage);

// A POST whose body is JSON of exactly `bodyBytes` bytes.
std::string makeRequest(const ClientOptions& options);

// A connected, non-blocking socket to the loopback port; -1 and errno when it is refused.
int connectTo(uint16_t port);

// `"name":{"p50":…,"p90":…,"p99":…,"p999":…,"max":…,"mean":…}` in microseconds, to stdout.
void printHistogram(const char* name, const Histogram& histogram);

}  // namespace pointsman::bench
