/**
 * The value of `Authorization: Basic` (RFC 7617), in the one form that base64 has by RFC 4648, 4: padded, of its own
 * letters alone, no bits left over. A lenient reader would give one credential many spellings, each a credential of its
 * own to caches and to whatever looks at requests before us.
 */

/** Its bytes as latin1; null when it is not base64. */
export function decodeBasic(value: string): string | null {
  const bytes = Buffer.from(value, 'base64');
  return bytes.toString('base64') === value ? bytes.toString('latin1') : null;
}
