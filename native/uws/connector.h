// Connections to uWebSockets.js that no client shares: one end of a socket pair is served by it,
// the other is the front's. Thread: the loop's.
#pragma once

#include "net/address.h"
#include "uws/attachment.h"

namespace pointsman {

class UwsConnector final : public Connector {
 public:
  // `attachment` is attached and outlives the connector.
  explicit UwsConnector(Attachment& attachment) noexcept : attachment_(attachment) {}
  int connect() noexcept override;

 private:
  Attachment& attachment_;
};

}  // namespace pointsman
