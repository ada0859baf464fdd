#include "client.h"

#include <fcntl.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <string_view>

#include "../wire.h"

namespace pointsman::bench {

namespace {

[[noreturn]] void refuse(const char* argument, const char* usage) {
  std::fprintf(stderr, "%s: not understood\n%s", argument, usage);
  std::exit(2);
}

double toNumber(const char* name, const char* text, const char* usage) {
  char* end = nullptr;
  const double value = std::strtod(text, &end);
  if (end == text || *end != '\0' || !(value >= 0)) refuse(name, usage);
  return value;
}

}  // namespace

ClientOptions parseOptions(int argc, char** argv, const char* usage) {
  ClientOptions options;
  for (int i = 1; i < argc; i += 2) {
    const std::string_view name = argv[i];
    if (i + 1 >= argc) refuse(argv[i], usage);
    const char* value = argv[i + 1];
    if (name == "--path") {
      options.path = value;
    } else if (name == "--header") {
      options.headers.emplace_back(value);
    } else if (name == "--tokens") {
      options.tokens = value;
    } else {
      const double number = toNumber(argv[i], value, usage);
      if (name == "--port") {
        options.port = static_cast<uint16_t>(number);
      } else if (name == "--connections") {
        options.connections = static_cast<uint32_t>(number);
      } else if (name == "--rate") {
        options.rate = number;
      } else if (name == "--duration-ms") {
        options.durationMs = static_cast<uint64_t>(number);
      } else if (name == "--body-bytes") {
        options.bodyBytes = static_cast<size_t>(number);
      } else if (name == "--answer-bytes") {
        options.answerBytes = static_cast<size_t>(number);
      } else if (name == "--requests") {
        options.requests = static_cast<uint64_t>(number);
      } else if (name == "--varied") {
        options.varied = number > 0;
      } else {
        refuse(argv[i], usage);
      }
    }
  }
  if (options.port == 0) refuse("--port", usage);
  if (options.connections == 0) refuse("--connections", usage);
  if (options.answerBytes < kBodyBytesMin) refuse("--answer-bytes", usage);
  return options;
}

std::string makeRequest(const ClientOptions& options) {
  constexpr std::string_view kStart = "{\"inputs\":\"";
  constexpr std::string_view kEnd = "\"}";
  std::string body(kStart);
  const size_t frame = kStart.size() + kEnd.size();
  if (options.bodyBytes > frame) body.append(options.bodyBytes - frame, 'x');
  body += kEnd;
  std::string request = "POST " + options.path +
                        " HTTP/1.1\r\nHost: 127.0.0.1:" + std::to_string(options.port) + "\r\n";
  for (const std::string& header : options.headers) request += header + "\r\n";
  request += "Content-Type: application/json\r\nContent-Length: " + std::to_string(body.size()) +
             "\r\n\r\n";
  return request + body;
}

int connectTo(uint16_t port) {
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return -1;
  const sockaddr_in address = loopbackAddress(port);
  if (connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) < 0) {
    close(fd);
    return -1;
  }
  const int on = 1;
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  fcntl(fd, F_SETFL, O_NONBLOCK);
  return fd;
}

void printHistogram(const char* name, const Histogram& histogram) {
  const auto us = [&](double share) {
    return static_cast<double>(histogram.quantile(share)) / 1'000;
  };
  std::printf(
      "\"%s\":{\"p50\":%.1f,\"p90\":%.1f,\"p99\":%.1f,\"p999\":%.1f,\"max\":%.1f,\"mean\":%.1f}",
      name, us(0.5), us(0.9), us(0.99), us(0.999), static_cast<double>(histogram.max()) / 1'000,
      histogram.mean() / 1'000);
}

}  // namespace pointsman::bench
