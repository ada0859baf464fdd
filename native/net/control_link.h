// A worker's end of control.sock: what is for the engine is acted on here, past the loop's JS.
//
// Requests wait while a change is being applied. By way of JS that took 130 to 400 us each time,
// most of it in code that runs ten times a second at most and is cold; here it is some 20.
//
// One frame: uint32 little-endian length, then an Envelope of proto/control.proto. Prepares are
// answered; addresses and discards are not; any other envelope is the host's. Envelopes are acted
// on in the order in which they came, one in each turn of the loop, and are left with the
// supervisor until then: requests wait for one, not for all. Thread: the loop's. Owns its
// descriptor; borrows engine and host.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "core/byte_buffer.h"
#include "net/engine.h"

namespace pointsman {

class ControlLinkHost {
 public:
  // All three may close or destroy the link. The envelope is borrowed for the call.
  virtual void onEnvelope(std::string_view envelope) noexcept = 0;
  // Something that was to be acted on here and cannot be, for the log.
  virtual void onControlFault(const std::string& problem) noexcept = 0;
  // The connection is closed, and what had come of it was acted on. The last call.
  virtual void onControlLost() noexcept = 0;

 protected:
  ~ControlLinkHost() = default;
};

class ControlLink final : private IoWatcher {
 public:
  // As in src/control/messages.ts.
  static constexpr size_t kFrameBytesMax = size_t{64} * 1024 * 1024;
  // What waits for a supervisor that does not read; beyond it the connection is closed.
  static constexpr size_t kUnsentBytesMax = size_t{4} * 1024 * 1024;

  ControlLink(Engine& engine, ControlLinkHost& host) noexcept : engine_(engine), host_(host) {}
  ~ControlLink();
  ControlLink(const ControlLink&) = delete;
  ControlLink& operator=(const ControlLink&) = delete;

  // False: nobody is there. `path` fits a Unix socket's address. Closes the connection before.
  bool open(const std::string& path) noexcept;
  // Takes over a connected socket that does not block. False, with it closed: it cannot be watched.
  bool adopt(int fd) noexcept;
  bool isOpen() const noexcept { return watch_ != nullptr; }
  // A whole frame. Lost silently when the connection is: the host is told of that.
  void send(std::string_view frame) noexcept;
  // Without a word to the host.
  void close() noexcept;

 private:
  void onIo(uint32_t events) noexcept override;
  void flush() noexcept;
  bool read() noexcept;
  bool takeFrames() noexcept;
  bool isHeld() noexcept;
  void act(std::string_view envelope) noexcept;
  void prepare(std::string_view envelope) noexcept;
  void setAddresses(std::string_view envelope) noexcept;
  void lose() noexcept;

  Engine& engine_;
  ControlLinkHost& host_;
  int fd_ = -1;
  Loop::Watch* watch_ = nullptr;
  // The other end has closed: nothing more comes than what is in received_.
  bool isEnded_ = false;
  // It cannot be gone on with.
  bool isBroken_ = false;
  // Nothing more can be said; what has come is acted on all the same.
  bool isMute_ = false;
  // The turn of the last envelope.
  uint64_t actedTurn_ = 0;
  ByteBuffer unsent_;
  ByteBuffer received_;
  // Of the call of the host that may close or destroy the link; else nullptr.
  bool* isGone_ = nullptr;
};

}  // namespace pointsman
