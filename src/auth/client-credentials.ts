/**
 * Finds the client's id and secret in a token request: HTTP Basic or the form, one of them (RFC 6749, 2.3.1). Whether
 * they are right is for the identities to say.
 */
import { decodeBasic } from './basic.js';
import { decodeFormText } from './form.js';
import { invalidClient, invalidRequest } from './oauth-error.js';

export interface ClientCredentials {
  readonly clientId: string;
  readonly secret: string;
}

const CREDENTIAL_CHARS_MAX = 1024;
const BASIC = /^basic +([A-Za-z0-9+/]+={0,2})$/i;

/**
 * Null when the request has none. A Bearer field is none: some clients send the token there that they also send as
 * assertion.
 * @throws OAuthError invalid_request for two of them, invalid_client for what cannot be read
 */
export function readClientCredentials(
  authorization: string | undefined,
  form: ReadonlyMap<string, string>,
): ClientCredentials | null {
  if (form.has('client_assertion') || form.has('client_assertion_type')) throw invalidClient();
  const clientId = form.get('client_id');
  const secret = form.get('client_secret');
  if (authorization === undefined || /^bearer(?: |$)/i.test(authorization)) {
    if (secret === undefined) return null;
    if (clientId === undefined) throw invalidRequest('client_id: missing');
    return checked({ clientId, secret });
  }
  if (secret !== undefined) {
    throw invalidRequest(
      'client_secret: the client authenticates by the Authorization field already',
    );
  }
  const credentials = checked(readBasic(authorization));
  if (clientId !== undefined && clientId !== credentials.clientId) {
    throw invalidRequest('client_id: differs from that of the Authorization field');
  }
  return credentials;
}

function readBasic(authorization: string): ClientCredentials {
  const encoded = BASIC.exec(authorization)?.[1];
  const text = encoded === undefined ? null : decodeBasic(encoded);
  if (text === null) throw invalidClient();
  const colon = text.indexOf(':');
  if (colon < 0) throw invalidClient();
  const clientId = decodeFormText(text.slice(0, colon));
  const secret = decodeFormText(text.slice(colon + 1));
  if (clientId === null || secret === null) throw invalidClient();
  return { clientId, secret };
}

function checked(credentials: ClientCredentials): ClientCredentials {
  const { clientId, secret } = credentials;
  const fits = (text: string): boolean => text !== '' && text.length <= CREDENTIAL_CHARS_MAX;
  if (!fits(clientId) || !fits(secret)) throw invalidClient();
  return credentials;
}
