/**
 * Bodies of management calls: JSON everywhere, YAML for the manifest. Fastify's own parser is not
 * used: its errors carry no position, it takes duplicate keys, and it refuses the empty body with a
 * JSON content type that one SDK sends on PATCH.
 */
import type { FastifyInstance, FastifyRequest } from 'fastify';
import { parseJson } from '../config/json-text.js';
import { decodeUtf8 } from '../config/text-position.js';
import { parseYaml } from '../config/yaml-text.js';
import { PointsmanError } from '../core/errors.js';

export const YAML_TYPES: readonly string[] = [
  'application/yaml',
  'text/yaml',
  'application/x-yaml',
];

const MANIFEST_PATH = '/api/2.0/pointsman/manifest';

/**
 * Replaces every content-type parser of `app`. An empty body is undefined, whatever its type. A
 * body without a type is taken as JSON; a form (what `curl -d` says unless told otherwise) is
 * refused, not guessed at.
 */
export function useBodyParser(app: FastifyInstance): void {
  app.removeAllContentTypeParsers();
  app.addContentTypeParser<Buffer>('*', { parseAs: 'buffer' }, (request, body, done) => {
    try {
      done(null, parseBody(request, body));
    } catch (error) {
      done(error as Error);
    }
  });
}

function parseBody(request: FastifyRequest, body: Buffer): unknown {
  if (body.length === 0) return undefined;
  checkCoding(request.headers['content-encoding']);
  const type = mediaType(request.headers['content-type']);
  if (type === '' || type === 'application/json' || type.endsWith('+json')) {
    return parseJson(decodeUtf8(body));
  }
  if (YAML_TYPES.includes(type) && takesYaml(request)) return parseYaml(decodeUtf8(body));
  const taken = takesYaml(request) ? 'application/json or application/yaml' : 'application/json';
  throw new PointsmanError(
    'INVALID_PARAMETER_VALUE',
    `Content-Type: ${JSON.stringify(type)} is not taken here; send ${taken}`,
    { status: 415 },
  );
}

/** @throws PointsmanError 415: nothing is decoded here, and what is named as coded is not read as if it were plain. */
export function checkCoding(coding: string | undefined): void {
  if (coding === undefined || coding.toLowerCase() === 'identity') return;
  throw new PointsmanError(
    'INVALID_PARAMETER_VALUE',
    `Content-Encoding: ${JSON.stringify(coding)} is not taken here; send the body as it is`,
    { status: 415 },
  );
}

function takesYaml(request: FastifyRequest): boolean {
  return request.routeOptions.url === MANIFEST_PATH;
}

/** `Application/JSON; charset=utf-8` -> `application/json`. */
function mediaType(contentType: string | undefined): string {
  return (contentType ?? '').split(';', 1)[0]?.trim().toLowerCase() ?? '';
}
