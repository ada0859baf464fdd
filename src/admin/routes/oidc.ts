/**
 * Token endpoint and discovery. Open to all: who may have a token is what the endpoint decides. Refusals have the form
 * of RFC 6749 here, whichever layer they come from, because that is what an OAuth client reads.
 */
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { databricksConfig, publishedKeySet, serverMetadata } from '../../auth/discovery.js';
import { PointsmanError } from '../../core/errors.js';
import { OIDC_PATHS } from '../../core/oidc-paths.js';
import { OAuthError } from '../../auth/oauth-error.js';
import type { SigningKeys } from '../../auth/signing-keys.js';
import type { TokenService } from '../../auth/token-service.js';
import { checkCoding } from '../body-parser.js';

/** A form with a full token as assertion takes a third of it. */
const FORM_BYTES_MAX = 64 * 1024;

export interface OidcServices {
  /** As tokens carry it. */
  readonly issuer: string;
  /**
   * URL, without a trailing slash, of the port that the client sees: the configured one or that of the listener, which
   * is known only when it listens.
   */
  readonly baseUrl: (request: FastifyRequest) => string;
  /** Of the client itself. */
  readonly clientAddress?: (request: FastifyRequest) => string;
  readonly workspaceId: string;
  readonly tokens: Pick<TokenService, 'answer'>;
  readonly keys: Pick<SigningKeys, 'publicKeys' | 'rotate'>;
}

export function oidcRoutes(app: FastifyInstance, services: OidcServices): void {
  const { issuer, baseUrl, workspaceId, tokens, keys } = services;
  const clientAddress = services.clientAddress ?? ((request: FastifyRequest) => request.ip);
  const config = { access: 'public' } as const;

  app.get(OIDC_PATHS.databricksConfig, { config }, (request) =>
    databricksConfig(baseUrl(request), workspaceId),
  );
  app.get(OIDC_PATHS.metadata, { config }, (request) => serverMetadata(issuer, baseUrl(request)));
  app.get(OIDC_PATHS.keySet, { config }, () => publishedKeySet(keys.publicKeys()));

  void app.register((scope, _options, done) => {
    // The form is read by the token service, from its bytes: what a lenient parser repairs has to be refused.
    scope.removeAllContentTypeParsers();
    scope.addContentTypeParser('*', { parseAs: 'buffer' }, (request, body, parsed) => {
      try {
        checkCoding(request.headers['content-encoding']);
        parsed(null, body);
      } catch (error) {
        parsed(error as Error);
      }
    });
    const options = { config, bodyLimit: FORM_BYTES_MAX, errorHandler: sendOAuthError };
    scope.post(OIDC_PATHS.token, options, async (request, reply) => {
      const { status, headers, body } = await tokens.answer({
        contentType: request.headers['content-type'],
        authorization: request.headers.authorization,
        body: Buffer.isBuffer(request.body) ? request.body : Buffer.alloc(0),
        address: clientAddress(request),
      });
      reply.code(status).headers(headers);
      return body;
    });
    done();
  });
}

/** Another method than POST at the token endpoint. */
export function isWrongTokenMethod({ is404, url }: FastifyRequest): boolean {
  return is404 && url.split('?', 1)[0]?.replace(/\/$/, '') === OIDC_PATHS.token;
}

/** As the data port answers it: no credential is needed to learn it. */
export function refuseTokenMethod(reply: FastifyReply): FastifyReply {
  reply.header('allow', 'POST');
  return sendRefusal(reply, new OAuthError('invalid_request', 'This path takes POST', 405));
}

/** Failures before the token service: a body that is too large, cut off, or of no readable type. */
function sendOAuthError(error: unknown, request: FastifyRequest, reply: FastifyReply): void {
  const known = error instanceof PointsmanError ? error : null;
  const { statusCode = known?.status ?? 500 } = error as { statusCode?: number };
  const fault = statusCode >= 400 && statusCode < 500;
  // RFC 6749, 5.2: whatever is wrong with the form is 400, but for its size.
  const status = statusCode === 413 ? 413 : 400;
  if (!fault) request.log.error({ err: error, requestId: request.id }, 'token request failed');
  const problem =
    status === 413
      ? `The body is larger than ${String(FORM_BYTES_MAX)} bytes`
      : (known?.message ?? 'the request cannot be read');
  const refusal = fault
    ? new OAuthError('invalid_request', problem, status)
    : new OAuthError('temporarily_unavailable', 'the request failed, try again later', 503, 1);
  sendRefusal(reply, refusal);
}

function sendRefusal(reply: FastifyReply, refusal: OAuthError): FastifyReply {
  if (refusal.retryAfterS > 0) reply.header('retry-after', String(refusal.retryAfterS));
  return reply
    .code(refusal.status)
    .headers({ 'cache-control': 'no-store', pragma: 'no-cache' })
    .send(refusal.toBody());
}
