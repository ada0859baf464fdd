// Numbers of the fields of an Envelope that native code reads and writes, same in
// proto/control.proto.
#pragma once

#include <cstdint>

namespace pointsman::envelope_field {

constexpr uint32_t kPrepare = 3;
constexpr uint32_t kPrepared = 4;
constexpr uint32_t kAddresses = 7;
constexpr uint32_t kDiscard = 11;

}  // namespace pointsman::envelope_field
