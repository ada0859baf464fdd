// Which revisions the requests in flight were dispatched under, oldest first.
//
// A request does not hold the whole table of its revision, only the parts it uses, so tables are
// freed as soon as they are replaced. What must be known of old revisions is their number: a
// counter's slot may be given to somebody else only when no request counts in it any more.
//
// Dispatches come in order of revision, so the list is sorted; it is never longer than there are
// requests in flight. Thread: the loop's.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "core/growing_array.h"

namespace pointsman {

class RevisionPins {
 public:
  // `revision` is not less than that of any pin before. False when there is no memory; nothing is
  // pinned then.
  [[nodiscard]] bool pin(uint64_t revision) noexcept {
    if (pins_.empty() || (pins_.back().revision != revision && pins_.back().requests > 0)) {
      if (!pins_.add({.revision = revision, .requests = 0})) return false;
    }
    pins_.back().revision = revision;
    pins_.back().requests++;
    return true;
  }

  // The last pin stays although nothing needs it: pinning and unpinning under one revision then
  // costs no memory.
  void unpin(uint64_t revision) noexcept {
    const auto found =
        std::lower_bound(pins_.begin(), pins_.end(), revision,
                         [](const Pin& pin, uint64_t wanted) { return pin.revision < wanted; });
    found->requests--;
    size_t done = 0;
    while (done + 1 < pins_.size() && pins_[done].requests == 0) done++;
    pins_.removeFirst(done);
  }

  // Oldest revision in flight, or `otherwise`.
  uint64_t oldest(uint64_t otherwise) const noexcept {
    return pins_.empty() || pins_.front().requests == 0 ? otherwise : pins_.front().revision;
  }
  // Revisions in flight besides `active`.
  uint32_t heldBeside(uint64_t active) const noexcept {
    uint32_t held = 0;
    for (const Pin& pin : pins_) held += pin.requests > 0 && pin.revision != active ? 1 : 0;
    return held;
  }

 private:
  struct Pin {
    uint64_t revision;
    uint32_t requests;
  };
  // Ends are added and taken; a pin in the middle that has no requests waits for its elders.
  GrowingArray<Pin> pins_;
};

}  // namespace pointsman
