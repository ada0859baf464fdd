#include "binding/front_input.h"

#include <algorithm>

#include "binding/js.h"

namespace pointsman {

namespace {

RefusalTexts readRefusals(const Napi::Array& list) {
  RefusalTexts texts;
  for (uint32_t index = 0; index < kRefusals && index < list.Length(); index++) {
    const Napi::Object input = list.Get(index).As<Napi::Object>();
    texts[index] = {.status = static_cast<int>(js::uint32(input, "status")),
                    .codeNumber = js::uint32(input, "codeNumber"),
                    .code = js::string(input, "code"),
                    .body = js::string(input, "body"),
                    .retryAfterS = js::uint32(input, "retryAfterS"),
                    .allow = js::string(input, "allow"),
                    .challenge = js::string(input, "challenge")};
  }
  return texts;
}

}  // namespace

FrontSettings readFrontSettings(const Napi::Object& settings) {
  return {.workspaceId = js::string(settings, "workspaceId"),
          .servingDomain = js::string(settings, "servingDomain"),
          .authRequired = js::boolean(settings, "authRequired"),
          .fastPath = js::boolean(settings, "fastPath"),
          .requestBytesMax = js::uint64(settings, "maxRequestBytes"),
          .headBytesMax = js::uint32(settings, "maxHeaderBytes"),
          .refusals = readRefusals(js::array(settings, "refusals"))};
}

TokenProof readProof(const Napi::Value& verifiedJson, const Napi::Value& trustVersion) {
  if (!verifiedJson.IsString()) return {};
  return {.verified = verifiedJson.As<Napi::String>().Utf8Value(),
          .trustVersion = trustVersion.As<Napi::Number>().Uint32Value()};
}

TokenTerms readTerms(const Napi::Object& input) {
  TokenTerms terms{.everything = js::boolean(input, "everything"),
                   .limited = js::boolean(input, "limited"),
                   .byName = js::boolean(input, "byName")};
  const Napi::Array holders = js::array(input, "holders");
  for (uint32_t index = 0; index < holders.Length(); index++) {
    terms.holders.push_back(holders.Get(index).As<Napi::Number>().Uint32Value());
  }
  std::sort(terms.holders.begin(), terms.holders.end());
  const Napi::Array endpoints = js::array(input, "endpoints");
  for (uint32_t index = 0; index < endpoints.Length(); index++) {
    terms.endpoints.push_back(endpoints.Get(index).As<Napi::String>().Utf8Value());
  }
  return terms;
}

}  // namespace pointsman
