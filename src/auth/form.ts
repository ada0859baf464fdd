/**
 * Reads `application/x-www-form-urlencoded` strictly: what a lenient reader repairs (half an escape, bytes that are no
 * UTF-8, a parameter sent twice) is where two readers of one request come to disagree. RFC 6749, 3.2 and appendix B.
 */
import { invalidRequest } from './oauth-error.js';

const PARAMETERS_MAX = 64;
const FORM_TYPE = 'application/x-www-form-urlencoded';

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/**
 * Parameters by name; one without a value is left out, as if it had not been sent.
 * @throws OAuthError invalid_request
 */
export function parseForm(
  contentType: string | undefined,
  body: Uint8Array,
): ReadonlyMap<string, string> {
  const type = (contentType ?? '').split(';', 1)[0]?.trim().toLowerCase();
  if (type !== FORM_TYPE) throw invalidRequest(`Content-Type: must be ${FORM_TYPE}`);
  const text = Buffer.from(body.buffer, body.byteOffset, body.byteLength).toString('latin1');
  // Split whole, which the size of the body bounds: empty parts count for nothing, and nothing behind them is overlooked.
  const parts = text.split('&').filter((part) => part !== '');
  if (parts.length > PARAMETERS_MAX) throw invalidRequest('too many parameters');
  const seen = new Set<string>();
  const parameters = new Map<string, string>();
  for (const part of parts) {
    const equals = part.indexOf('=');
    const name = decode(equals < 0 ? part : part.slice(0, equals));
    const value = decode(equals < 0 ? '' : part.slice(equals + 1));
    if (name === null || value === null) {
      throw invalidRequest('the body is not form-urlencoded UTF-8 without control characters');
    }
    if (seen.has(name)) throw invalidRequest(`${shown(name)}: sent more than once`);
    seen.add(name);
    if (value !== '') parameters.set(name, value);
  }
  return parameters;
}

/** One name or value; null when it is not well-formed. `text` holds bytes as latin1. */
export function decodeFormText(text: string): string | null {
  return decode(text);
}

function decode(text: string): string | null {
  if (/%(?![0-9A-Fa-f]{2})/.test(text)) return null;
  const bytes = text
    .replaceAll('+', ' ')
    .replaceAll(/%([0-9A-Fa-f]{2})/g, (_escape, digits: string) =>
      String.fromCharCode(Number.parseInt(digits, 16)),
    );
  let decoded: string;
  try {
    decoded = utf8.decode(Buffer.from(bytes, 'latin1'));
  } catch {
    return null;
  }
  return /[\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f]/.test(decoded) ? null : decoded;
}

function shown(name: string): string {
  return /^[\w.-]{1,64}$/.test(name) ? name : 'a parameter';
}
