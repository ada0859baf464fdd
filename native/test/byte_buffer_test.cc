// Buffers and lists that may get no memory: what they hold then, and afterwards.
#include "core/byte_buffer.h"

#include <cerrno>
#include <memory>
#include <string>

#include "core/growing_array.h"
#include "test/check.h"
#include "test/failing_new.h"

namespace {

using namespace pointsman;        // NOLINT: the code under test
using namespace pointsman::test;  // NOLINT: its kit

void growsAsAString() {
  ByteBuffer buffer;
  std::string expected;
  CHECK(buffer.empty());
  CHECK_EQUAL(std::string_view(buffer), "");
  for (size_t i = 0; i < 3'000; i++) {
    const std::string piece(i % 37, static_cast<char>('a' + i % 26));
    buffer.append(piece).append('-');
    expected.append(piece).append("-");
  }
  CHECK(std::string_view(buffer) == expected);
  buffer.eraseFront(1'000);
  expected.erase(0, 1'000);
  CHECK(std::string_view(buffer) == expected);
  buffer.truncate(50);
  CHECK(std::string_view(buffer) == expected.substr(0, 50));
  buffer.eraseFront(50);
  CHECK(buffer.empty());
  const size_t capacity = buffer.capacity();
  buffer.assign("again");
  CHECK_EQUAL(std::string_view(buffer), "again");
  CHECK_EQUAL(buffer.capacity(), capacity);
  CHECK(!buffer.failed());
}

void movesItsMemory() {
  ByteBuffer from;
  from.append("bytes");
  const char* data = from.data();
  ByteBuffer to(std::move(from));
  CHECK(to.data() == data);
  CHECK(from.empty());  // NOLINT: a buffer that was moved from is an empty one
  from = std::move(to);
  CHECK_EQUAL(std::string_view(from), "bytes");
  from.release();
  CHECK_EQUAL(from.capacity(), 0U);
}

void failsForGood() {
  ByteBuffer buffer;
  buffer.append(std::string(64, 'a'));
  const std::string_view before = buffer;
  setFault("allocation", 1, ENOMEM);
  buffer.append("b").append("c");
  clearFaults();
  // Later bytes are dropped too, although there would be memory again; what came before stays.
  buffer.append("d").append("");
  CHECK(buffer.failed());
  CHECK(!buffer.reserve(1'000));
  CHECK_EQUAL(before, std::string(64, 'a'));
  CHECK(std::string_view(buffer) == before);
  buffer.truncate(10);
  buffer.append("e");
  buffer.eraseFront(4);
  buffer.append("f");
  CHECK_EQUAL(std::string_view(buffer), std::string(6, 'a'));
  CHECK(buffer.failed());
  buffer.clear();
  CHECK(!buffer.failed());
  buffer.append(std::string(64, 'g'));
  CHECK(!buffer.failed());
  CHECK_EQUAL(buffer.capacity(), 64U);
}

void refusesToReserve() {
  ByteBuffer buffer;
  setFault("allocation", 1, ENOMEM);
  CHECK(!buffer.reserve(100));
  clearFaults();
  CHECK(buffer.failed());
  CHECK(buffer.assign("text").append(" and more").failed() == false);
  CHECK(buffer.reserve(100));
  CHECK(buffer.capacity() >= 100);
  CHECK_EQUAL(std::string_view(buffer), "text and more");
}

void listsWhatItCan() {
  GrowingArray<std::unique_ptr<std::string>> list;
  for (int i = 0; i < 8; i++) {
    CHECK(list.add(std::make_unique<std::string>(std::to_string(i))));
  }
  setFault("allocation", 1, ENOMEM);
  const bool isAdded = list.add(nullptr);
  clearFaults();
  CHECK(!isAdded);
  CHECK_EQUAL(list.size(), 8U);
  CHECK(list.add(std::make_unique<std::string>("8")));
  list.removeFirst(3);
  list.removeLast();
  CHECK_EQUAL(list.size(), 5U);
  CHECK_EQUAL(*list.front(), "3");
  CHECK_EQUAL(*list.back(), "7");
  list.removeFirst(0);
  list.removeFirst(5);
  CHECK(list.empty());
}

void resizesWhatItCan() {
  GrowingArray<uint32_t> list;
  setFault("allocation", 1, ENOMEM);
  CHECK(!list.resize(4));
  clearFaults();
  CHECK(list.empty());
  CHECK(list.resize(4));
  CHECK_EQUAL(list[3], 0U);
  list[3] = 7;
  CHECK(list.resize(100));
  CHECK_EQUAL(list[3], 7U);
  CHECK_EQUAL(list[99], 0U);
  CHECK(list.resize(1));
  CHECK_EQUAL(list.size(), 1U);
}

}  // namespace

int main() {
  growsAsAString();
  movesItsMemory();
  failsForGood();
  refusesToReserve();
  listsWhatItCan();
  resizesWhatItCan();
  return finishChecks();
}
