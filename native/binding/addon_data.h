// What one environment keeps of the addon: an addon loads once per environment and has no statics.
#pragma once

#include <napi.h>

namespace pointsman {

struct AddonData {
  Napi::FunctionReference sharedBlock;
};

}  // namespace pointsman
