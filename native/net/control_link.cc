#include "net/control_link.h"

#include <sys/un.h>

#include <array>
#include <cstring>

#include "core/wire_reader.h"
#include "net/envelope_field.h"
#include "net/snapshot_builder.h"
#include "net/sys.h"

namespace pointsman {

namespace {

// More than the frame of a change; a larger one comes in parts.
constexpr size_t kReadBytes = size_t{16} * 1024;
constexpr size_t kPrefixBytes = sizeof(uint32_t);

// Numbers of fields, same in proto/control.proto.
namespace prepared_field {
constexpr uint32_t kError = 2;
}

namespace discard_field {
constexpr uint32_t kRevision = 1;
}

uint32_t readLength(const char* bytes) noexcept {
  uint32_t length = 0;
  for (size_t index = 0; index < kPrefixBytes; index++) {
    length |= uint32_t{static_cast<uint8_t>(bytes[index])} << (8 * index);
  }
  return length;
}

void appendVarint(std::string& out, uint64_t value) {
  for (; value >= 0x80; value >>= 7) out += static_cast<char>(value | 0x80);
  out += static_cast<char>(value);
}

// A field that holds bytes.
void appendBytes(std::string& out, uint32_t number, std::string_view bytes) {
  constexpr uint32_t kLengthDelimited = 2;
  appendVarint(out, number << 3 | kLengthDelimited);
  appendVarint(out, bytes.size());
  out += bytes;
}

std::string preparedFrame(std::string_view error) {
  std::string prepared;
  if (!error.empty()) appendBytes(prepared, prepared_field::kError, error);
  std::string envelope;
  appendBytes(envelope, envelope_field::kPrepared, prepared);
  std::string frame;
  for (size_t index = 0; index < kPrefixBytes; index++) {
    frame += static_cast<char>(envelope.size() >> (8 * index));
  }
  return frame + envelope;
}

uint64_t revisionOf(std::string_view discard) {
  WireReader reader(discard);
  uint64_t revision = 0;
  while (reader.next()) {
    if (reader.number() == discard_field::kRevision) revision = reader.varint();
  }
  return revision;
}

}  // namespace

ControlLink::~ControlLink() {
  close();
}

bool ControlLink::open(const std::string& path) noexcept {
  close();
  sockaddr_un address{};
  if (path.size() >= sizeof address.sun_path) return false;
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path, path.data(), path.size());
  const int fd = sys::socket(AF_UNIX);
  if (fd < 0) return false;
  // At once or not at all: there is no handshake to wait for.
  const auto* generic = reinterpret_cast<const sockaddr*>(&address);  // NOLINT: the API's own idiom
  if (sys::connect(fd, generic, sizeof address) == 0) return adopt(fd);
  sys::close(fd);
  return false;
}

bool ControlLink::adopt(int fd) noexcept {
  close();
  watch_ = engine_.loop().watch(fd, kReadable, this);
  if (watch_ == nullptr) {
    sys::close(fd);
    return false;
  }
  fd_ = fd;
  isEnded_ = isBroken_ = isMute_ = false;
  return true;
}

void ControlLink::send(std::string_view frame) noexcept {
  if (!isOpen() || isBroken_ || isMute_) return;
  const bool isFirst = unsent_.empty();
  if (unsent_.size() + frame.size() > kUnsentBytesMax || unsent_.append(frame).failed()) {
    // Told by the next event: who sends may be in the middle of something.
    isBroken_ = true;
    engine_.loop().readAgain(watch_);
  } else if (isFirst) {
    flush();
  }
}

void ControlLink::flush() noexcept {
  if (unsent_.empty() || isMute_) return;
  const ssize_t sent = sys::send(fd_, unsent_.data(), unsent_.size());
  // Reading finds out why, behind what came before.
  if (sent < 0 && !sys::isWouldBlock(errno)) {
    isMute_ = true;
    unsent_.clear();
    engine_.loop().readAgain(watch_);
  }
  if (sent > 0) unsent_.eraseFront(static_cast<size_t>(sent));
  if (unsent_.empty()) unsent_.clear();
  engine_.loop().change(watch_, unsent_.empty() ? kReadable : kReadable | kWritable);
}

void ControlLink::onIo(uint32_t events) noexcept {
  if ((events & kWritable) != 0) flush();
  // What is here comes first: more is read when nothing whole is left, so that it waits with the
  // supervisor and does not pile up here.
  if (!takeFrames()) return;
  if ((events & kReadable) != 0 && !isEnded_ && !isBroken_ && !read()) isEnded_ = true;
  if (!takeFrames()) return;
  if (isEnded_ || isBroken_) lose();
}

// False: nothing more comes.
bool ControlLink::read() noexcept {
  std::array<char, kReadBytes> read;  // NOLINT: written before it is read
  const ssize_t bytes = sys::recv(fd_, read.data(), read.size(), 0);
  if (bytes < 0 && sys::isWouldBlock(errno)) return true;
  if (bytes <= 0 || received_.append({read.data(), static_cast<size_t>(bytes)}).failed()) {
    return false;
  }
  if (static_cast<size_t>(bytes) == read.size()) engine_.loop().readAgain(watch_);
  return true;
}

// False: the rest is for the next turn, or the link is gone.
bool ControlLink::takeFrames() noexcept {
  while (received_.size() >= kPrefixBytes) {
    const size_t length = readLength(received_.data());
    if (length > kFrameBytesMax) {
      isBroken_ = true;
      break;
    }
    if (received_.size() - kPrefixBytes < length) break;
    if (isHeld()) return false;
    bool isGone = false;
    isGone_ = &isGone;
    act({received_.data() + kPrefixBytes, length});
    if (isGone) return false;
    isGone_ = nullptr;
    received_.eraseFront(kPrefixBytes + length);
  }
  // Not kept: the first frame of all may be a thousand times larger than any other.
  if (received_.empty()) received_.release();
  return true;
}

// One envelope was acted on in this turn.
bool ControlLink::isHeld() noexcept {
  const uint64_t turn = engine_.loop().turnNumber();
  if (actedTurn_ == turn) {
    engine_.loop().readAgain(watch_);
    return true;
  }
  actedTurn_ = turn;
  return false;
}

void ControlLink::act(std::string_view envelope) noexcept {
  // What a damaged one was to be is still known by its number.
  WireReader reader(envelope);
  (void)reader.next();
  switch (reader.number()) {
    case envelope_field::kPrepare:
      prepare(envelope);
      break;
    case envelope_field::kAddresses:
      setAddresses(envelope);
      break;
    case envelope_field::kDiscard:
      engine_.discard(revisionOf(reader.bytes()));
      engine_.settle();
      break;
    default:
      host_.onEnvelope(envelope);
  }
}

void ControlLink::prepare(std::string_view envelope) noexcept {
  std::string error;
  PreparedSnapshot built = buildSnapshot(engine_, envelope, error);
  if (error.empty()) engine_.prepare(std::move(built));
  send(preparedFrame(error));
}

void ControlLink::setAddresses(std::string_view envelope) noexcept {
  const std::string problem = applyAddresses(engine_, envelope);
  if (!problem.empty()) host_.onControlFault(problem);
}

void ControlLink::close() noexcept {
  if (isGone_ != nullptr) *isGone_ = true;
  isGone_ = nullptr;
  if (watch_ != nullptr) engine_.loop().unwatch(watch_);
  watch_ = nullptr;
  if (fd_ >= 0) sys::close(fd_);
  fd_ = -1;
  unsent_.release();
  received_.release();
}

void ControlLink::lose() noexcept {
  close();
  host_.onControlLost();
}

}  // namespace pointsman
