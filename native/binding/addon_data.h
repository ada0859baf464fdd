// What one environment keeps of the addon: an addon loads once per environment and has no statics.
#pragma once

#include <napi.h>

#include <memory>

#include "binding/nursery.h"

namespace pointsman {

struct AddonData {
  Napi::FunctionReference sharedBlock;
  // Null until it is asked for.
  std::unique_ptr<Nursery> nursery;
};

}  // namespace pointsman
