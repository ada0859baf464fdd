// What has to hold for the response parser whatever the bytes; the fuzz target and the replay of
// its seeds call it.
//
// The first two bytes choose the kind of request, whether the stream ends, the bound of the head,
// and the cuts; the rest is the answer. Every cut must give the same record, and the driver must
// find no broken contract.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "fuzz/cuts.h"
#include "test/response_driver.h"

namespace pointsman::fuzz {

// Empty, or what does not hold.
inline std::string checkResponseBytes(const uint8_t* data, size_t size) {
  if (size < 2) return {};
  const std::string bytes(data + 2, data + size);
  test::DriveOptions options;
  options.isHeadRequest = (data[0] & 1) != 0;
  options.endsStream = (data[0] & 2) != 0;
  if ((data[0] & 4) != 0) options.headBytesMax = 64 + data[1];

  const std::string whole = test::driveResponse(bytes, {}, options);
  if (whole.starts_with("CONTRACT BROKEN")) return whole;
  for (const size_t longest : {size_t{1}, size_t{7}, size_t{64}}) {
    const std::vector<size_t> cuts = makeCuts(bytes.size(), data[1], longest);
    const std::string pieces = test::driveResponse(bytes, cuts, options);
    if (pieces != whole) return "whole:  " + whole + "\npieces: " + pieces;
  }
  return {};
}

}  // namespace pointsman::fuzz
