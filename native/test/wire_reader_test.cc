// The wire format read field by field, and bytes that are no message: they end the reading, without
// a look beyond them.
#include "core/wire_reader.h"

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "core/rng.h"
#include "test/check.h"
#include "test/wire_kit.h"

namespace {

using namespace pointsman;        // NOLINT: the code under test
using namespace pointsman::test;  // NOLINT: its kit

constexpr uint64_t kMost = ~uint64_t{0};
constexpr uint32_t kNumberMax = (uint32_t{1} << 29) - 1;
// What no varint may have: bytes that say that another follows, one more than it takes for 64 bits.
const std::string kEndless(11, '\xFF');

// Reads to the end; true when all of it is a message.
bool isMessage(std::string_view bytes) {
  const ExactBytes exact(bytes);
  WireReader reader(exact.view());
  while (reader.next()) CHECK(exact.holds(reader.bytes()));
  // It stays as it is, and what was read before is not offered again.
  CHECK(!reader.next());
  CHECK_EQUAL(reader.varint(), 0U);
  CHECK(reader.bytes().empty());
  CHECK(reader.atEnd());
  return !reader.failed();
}

void readsEveryKind() {
  const ExactBytes message(wireNumber(1, 300) + wireTag(2, kWireFixed64) + "8 bytes." +
                           wireBytes(3, "text") + wireTag(4, kWireFixed32) + "four" +
                           wireNumber(kNumberMax, 1) + wireBytes(15, ""));
  WireReader reader(message.view());
  CHECK(reader.next());
  CHECK_EQUAL(reader.number(), 1U);
  CHECK_EQUAL(reader.varint(), 300U);
  CHECK_EQUAL(reader.uint32(), 300U);
  CHECK(reader.isVarint() && reader.boolean() && reader.bytes().empty());
  CHECK(reader.next());
  CHECK_EQUAL(reader.number(), 2U);
  CHECK(!reader.isVarint() && reader.varint() == 0 && reader.bytes().empty());
  CHECK(reader.next());
  CHECK_EQUAL(reader.number(), 3U);
  CHECK_EQUAL(reader.bytes(), "text");
  // Where it is, not a copy.
  CHECK(message.holds(reader.bytes()));
  CHECK(!reader.isVarint() && reader.varint() == 0 && !reader.boolean());
  CHECK(reader.next());
  CHECK_EQUAL(reader.number(), 4U);
  CHECK(!reader.isVarint() && reader.varint() == 0 && reader.bytes().empty());
  CHECK(reader.next());
  CHECK_EQUAL(reader.number(), kNumberMax);
  CHECK(reader.boolean());
  CHECK(!reader.atEnd());
  CHECK(reader.next());
  CHECK_EQUAL(reader.number(), 15U);
  CHECK(!reader.isVarint() && reader.bytes().empty());
  CHECK(reader.atEnd());
  CHECK(!reader.next());
  CHECK(!reader.failed());
}

void readsNothing() {
  WireReader reader({});
  CHECK(reader.atEnd());
  CHECK(!reader.next());
  CHECK(!reader.failed());
}

void skipsWhatItIsNotAskedFor() {
  const std::string unknown = wireNumber(9, kMost) + wireBytes(1'000, std::string(300, 'u')) +
                              wireTag(8, kWireFixed32) + "four" + wireTag(6, kWireFixed64) +
                              "8 bytes.";
  const ExactBytes message(unknown + wireNumber(7, 42) + unknown);
  std::vector<uint64_t> found;
  WireReader reader(message.view());
  while (reader.next()) {
    if (reader.number() == 7) found.push_back(reader.varint());
  }
  CHECK(!reader.failed());
  CHECK(found == std::vector<uint64_t>{42});
}

// The value of a message that is one field with this varint; a check fails when it is none.
uint64_t valueOf(std::string_view varint) {
  const ExactBytes message(wireTag(1, kWireVarint).append(varint));
  WireReader reader(message.view());
  CHECK(reader.next());
  const uint64_t value = reader.varint();
  CHECK(reader.uint32() == static_cast<uint32_t>(value));
  CHECK_EQUAL(reader.boolean(), value != 0);
  CHECK(!reader.next() && !reader.failed());
  return value;
}

void readsVarintsOfEveryLength() {
  for (size_t bytes = 1; bytes <= 10; bytes++) {
    const uint64_t least = bytes == 1 ? 0 : uint64_t{1} << (7 * (bytes - 1));
    const uint64_t most = bytes == 10 ? kMost : (uint64_t{1} << (7 * bytes)) - 1;
    for (const uint64_t value : {least, least + 1, most}) {
      const std::string varint = wireVarint(value);
      CHECK_EQUAL(varint.size(), bytes);
      CHECK_EQUAL(valueOf(varint), value);
      for (size_t cut = 0; cut < bytes; cut++) {
        CHECK(!isMessage(wireTag(1, kWireVarint) + varint.substr(0, cut)));
      }
    }
  }
  // A writer may take more bytes than it needs.
  for (size_t more = 0; more <= 8; more++) {
    CHECK_EQUAL(valueOf('\x85' + std::string(more, '\x80') + '\0'), 5U);
  }
}

void refusesVarintsWithoutEnd() {
  for (size_t bytes = 10; bytes <= kEndless.size(); bytes++) {
    const std::string varint = kEndless.substr(0, bytes);
    CHECK(!isMessage(varint));
    CHECK(!isMessage(wireTag(1, kWireVarint) + varint));
    CHECK(!isMessage(wireTag(1, kWireBytes) + varint));
    // An end that comes too late is none.
    CHECK(!isMessage(wireTag(1, kWireVarint) + varint + '\x01'));
  }
  // The tenth byte may end it; of its bits only the lowest has a place.
  CHECK_EQUAL(valueOf(kEndless.substr(0, 9) + '\x01'), kMost);
  CHECK_EQUAL(valueOf(kEndless.substr(0, 9) + '\x7F'), kMost);
  CHECK_EQUAL(valueOf(kEndless.substr(0, 9) + '\x7E'), kMost >> 1);
}

void staysWithinItsLengths() {
  const std::string tag = wireTag(1, kWireBytes);
  const std::string bytes(200, 'b');
  CHECK(isMessage(tag + wireVarint(200) + bytes));
  CHECK(isMessage(tag + wireVarint(0)));
  CHECK(!isMessage(tag));
  CHECK(!isMessage(tag + wireVarint(1)));
  // Sums of these and an address are small again.
  for (const uint64_t length : {uint64_t{201}, uint64_t{1} << 31, uint64_t{1} << 32,
                                uint64_t{1} << 63, kMost - 200, kMost - 1, kMost}) {
    CHECK(!isMessage(tag + wireVarint(length) + bytes));
  }
  // What a message in a message says of its length ends with that message, whatever follows.
  const ExactBytes outer(wireBytes(1, tag + wireVarint(3) + "ab") + wireBytes(2, bytes));
  WireReader reader(outer.view());
  CHECK(reader.next());
  CHECK(!isMessage(reader.bytes()));
  for (const auto& [kind, size] : {std::pair{kWireFixed64, 8U}, std::pair{kWireFixed32, 4U}}) {
    for (size_t given = 0; given < size; given++) {
      CHECK(!isMessage(wireTag(1, kind) + bytes.substr(0, given)));
    }
    CHECK(isMessage(wireTag(1, kind) + bytes.substr(0, size)));
  }
}

void refusesWhatIsNoField() {
  const std::string bytes(20, '\0');
  for (const uint32_t kind : {kWireVarint, kWireFixed64, kWireBytes, kWireFixed32}) {
    CHECK(!isMessage(wireTag(0, kind) + bytes));
    CHECK(!isMessage(wireTag(uint64_t{kNumberMax} + 1, kind) + bytes));
    CHECK(!isMessage(wireTag((uint64_t{1} << 32) + 1, kind) + bytes));
    CHECK(!isMessage(wireTag(kMost >> 3, kind) + bytes));
    const ExactBytes message(wireTag(kNumberMax, kind) + bytes);
    WireReader reader(message.view());
    CHECK(reader.next());
    CHECK_EQUAL(reader.number(), kNumberMax);
  }
  // Groups, and kinds that nobody has thought of yet.
  for (const uint32_t kind : {3U, 4U, 6U, 7U}) {
    CHECK(!isMessage(wireTag(1, kind)));
    CHECK(!isMessage(wireNumber(1, 1) + wireTag(1, kind) + wireNumber(1, 1)));
    CHECK(!isMessage(wireTag(1, kind) + wireTag(1, 4)));
  }
}

void readsPackedNumbers() {
  const std::vector<uint64_t> values = {0, 1, 127, 128, 300, uint64_t{1} << 32, kMost};
  std::string list;
  std::vector<size_t> ends = {0};
  for (const uint64_t value : values) ends.push_back((list += wireVarint(value)).size());
  for (size_t cut = 0; cut <= list.size(); cut++) {
    const ExactBytes part(std::string_view(list).substr(0, cut));
    std::vector<uint64_t> found;
    WireReader reader(part.view());
    while (!reader.atEnd()) found.push_back(reader.packed());
    size_t whole = 0;
    while (whole < values.size() && ends[whole + 1] <= cut) whole++;
    CHECK_EQUAL(reader.failed(), ends[whole] != cut);
    CHECK_EQUAL(found.size(), whole + static_cast<size_t>(reader.failed()));
    found.resize(whole);
    CHECK(std::equal(found.begin(), found.end(), values.begin()));
  }
  const ExactBytes endless(kEndless);
  WireReader reader(endless.view());
  CHECK_EQUAL(reader.packed(), 0U);
  CHECK(reader.failed());
}

// What is written is read.
void readsWhatIsWritten() {
  Xoshiro256pp rng(11);
  for (int round = 0; round < 5'000; round++) {
    struct Field {
      uint32_t number;
      bool isVarint;
      uint64_t value;
      std::string bytes;
    };
    std::vector<Field> fields;
    std::string message;
    for (uint32_t left = scaleDraw(rng.next(), 20); left > 0; left--) {
      const uint32_t number = kNumberMax >> scaleDraw(rng.next(), 29);
      Field field{.number = number, .isVarint = rng.next() % 2 == 0, .value = 0, .bytes = {}};
      if (field.isVarint) {
        field.value = rng.next() >> scaleDraw(rng.next(), 64);
        message += wireNumber(number, field.value);
      } else {
        field.bytes.resize(scaleDraw(rng.next(), 300), static_cast<char>(rng.next()));
        message += wireBytes(number, field.bytes);
      }
      fields.push_back(std::move(field));
    }
    const ExactBytes exact(message);
    WireReader reader(exact.view());
    for (const Field& field : fields) {
      CHECK(reader.next());
      CHECK_EQUAL(reader.number(), field.number);
      CHECK_EQUAL(reader.isVarint(), field.isVarint);
      CHECK_EQUAL(reader.varint(), field.value);
      CHECK(reader.bytes() == field.bytes);
    }
    CHECK(!reader.next() && !reader.failed());
  }
}

// Reads the bytes as a message, and what its fields hold as messages and as lists. Answers whether
// they are one. Reading goes on: a field takes two bytes at least, a number one.
bool readAsEverything(const ExactBytes& exact, std::string_view bytes, int depth) {
  WireReader reader(bytes);
  size_t fields = 0;
  while (reader.next()) {
    fields++;
    CHECK(reader.number() > 0 && reader.number() <= kNumberMax);
    CHECK(exact.holds(reader.bytes()));
    CHECK(reader.isVarint() ? reader.bytes().empty() : reader.varint() == 0);
    if (depth > 0) readAsEverything(exact, reader.bytes(), depth - 1);
  }
  CHECK(2 * fields <= bytes.size());
  WireReader list(bytes);
  size_t numbers = 0;
  for (; !list.atEnd(); numbers++) list.packed();
  CHECK(numbers <= bytes.size());
  return !reader.failed();
}

void survivesAnything() {
  constexpr int kInputs = 200'000;
  Xoshiro256pp rng(12);
  int wholeCount = 0;
  std::string bytes;
  for (int input = 0; input < kInputs; input++) {
    bytes.resize(scaleDraw(rng.next(), 48));
    // Small bytes are tags and lengths more often than any bytes are.
    const uint32_t below = input % 2 == 0 ? 256 : 24;
    for (char& byte : bytes) byte = static_cast<char>(scaleDraw(rng.next(), below));
    const ExactBytes exact(bytes);
    wholeCount += readAsEverything(exact, exact.view(), 3);
  }
  // Both ends of a reading are met often.
  CHECK(wholeCount > kInputs / 50);
  CHECK(wholeCount < kInputs / 2);
}

}  // namespace

int main() {
  readsEveryKind();
  readsNothing();
  skipsWhatItIsNotAskedFor();
  readsVarintsOfEveryLength();
  refusesVarintsWithoutEnd();
  staysWithinItsLengths();
  refusesWhatIsNoField();
  readsPackedNumbers();
  readsWhatIsWritten();
  survivesAnything();
  return finishChecks();
}
