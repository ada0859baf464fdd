// What stub and clients agree on: the text of answers and events, and how both read the clock.
//
//   body   {"entity":"a","received":       100,"filler":"xxxxxxxxxxxxxxxx"}      of any size from
//   64 event  data: {"sent_ns":       1234567890123,"number":            1 }\n\n
//          64 bytes, one per chunk
#pragma once

#include <arpa/inet.h>
#include <netinet/in.h>

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <ctime>
#include <string>
#include <string_view>

namespace pointsman::bench {

inline constexpr std::string_view kBodyStart = "{\"entity\":\"";
inline constexpr size_t kBodyEntityAt = kBodyStart.size();
inline constexpr std::string_view kBodyReceived = "\",\"received\":";
inline constexpr size_t kBodyReceivedAt = kBodyEntityAt + 1 + kBodyReceived.size();
inline constexpr size_t kBodyReceivedDigits = 10;
inline constexpr size_t kBodyPrefixBytes = kBodyReceivedAt + kBodyReceivedDigits;
inline constexpr std::string_view kBodyFiller = ",\"filler\":\"";
inline constexpr std::string_view kBodyEnd = "\"}";
inline constexpr size_t kBodyBytesMin = 64;

inline constexpr size_t kEventBytes = 64;
inline constexpr size_t kEventChunkBytes = 4 + kEventBytes + 2;
inline constexpr std::string_view kEventStart = "data: {\"sent_ns\":";
inline constexpr size_t kEventStampDigits = 20;
inline constexpr size_t kEventNumberDigits = 13;

inline uint64_t nowNs() noexcept {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<uint64_t>(now.tv_sec) * 1'000'000'000 + static_cast<uint64_t>(now.tv_nsec);
}

inline sockaddr_in loopbackAddress(uint16_t port) noexcept {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return address;
}

// Right-aligned in `digits` bytes behind spaces, which JSON allows there.
inline void writeNumber(char* at, size_t digits, uint64_t value) noexcept {
  for (size_t i = digits; i-- > 0;) {
    const bool isDigit = value > 0 || i + 1 == digits;
    at[i] = isDigit ? static_cast<char>('0' + value % 10) : ' ';
    value /= 10;
  }
}

inline uint64_t readNumber(std::string_view text) noexcept {
  uint64_t value = 0;
  for (const char c : text) {
    if (c >= '0' && c <= '9') value = value * 10 + static_cast<uint64_t>(c - '0');
  }
  return value;
}

inline std::string makeBody(char entity, size_t bytes) {
  std::string body(kBodyStart);
  body += entity;
  body += kBodyReceived;
  body.append(kBodyReceivedDigits - 1, ' ');
  body += '0';
  body += kBodyFiller;
  body.append(bytes - body.size() - kBodyEnd.size(), 'x');
  body += kBodyEnd;
  return body;
}

inline void writeReceivedBytes(char* body, uint64_t count) noexcept {
  writeNumber(body + kBodyReceivedAt, kBodyReceivedDigits, count);
}

// One event as a chunk of its own; answers its size, kEventChunkBytes.
inline size_t writeEventChunk(char* at, uint64_t sentNs, uint64_t number) noexcept {
  static_assert(kEventBytes == 0x40);
  std::memcpy(at, "40\r\n", 4);
  char* event = at + 4;
  std::memcpy(event, kEventStart.data(), kEventStart.size());
  char* next = event + kEventStart.size();
  writeNumber(next, kEventStampDigits, sentNs);
  next += kEventStampDigits;
  constexpr std::string_view kNumber = ",\"number\":";
  std::memcpy(next, kNumber.data(), kNumber.size());
  next += kNumber.size();
  static_assert(kEventStart.size() + kEventStampDigits + kNumber.size() + kEventNumberDigits + 4 ==
                kEventBytes);
  writeNumber(next, kEventNumberDigits, number);
  std::memcpy(next + kEventNumberDigits, " }\n\n", 4);
  std::memcpy(event + kEventBytes, "\r\n", 2);
  return kEventChunkBytes;
}

}  // namespace pointsman::bench
