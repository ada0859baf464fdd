/** Identifiers that pointsman makes. */
import { randomBytes } from 'node:crypto';

/** Endpoint id: 32 lower-case hex digits (reference/databricks-serving-api.md, 1.9). */
export function createEndpointId(): string {
  return randomBytes(16).toString('hex');
}

/** Credential of 256 random bits, URL-safe. */
export function createTokenText(): string {
  return randomBytes(32).toString('base64url');
}
