// What JS says of the front and of tokens, read into the forms that native code uses.
#pragma once

#include <napi.h>

#include "front/front.h"
#include "net/token_grant.h"

namespace pointsman {

// `settings.refusals` has kRefusals entries.
FrontSettings readFrontSettings(const Napi::Object& settings);

TokenTerms readTerms(const Napi::Object& input);
// What is no string proves nothing.
TokenProof readProof(const Napi::Value& verifiedJson, const Napi::Value& trustVersion);

}  // namespace pointsman
