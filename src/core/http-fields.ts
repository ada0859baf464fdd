/**
 * Fields that speak of one connection or one message's framing only (RFC 9110, 7.6.1 and 10.1.1), lower case. Never
 * passed on and never taken from a configuration: each hop writes its own. native/http1/header_rules.cc has
 * the data plane's rule.
 */
export const CONNECTION_FIELDS: readonly string[] = [
  'connection',
  'expect',
  'host',
  'http2-settings',
  'keep-alive',
  'proxy-connection',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
];
