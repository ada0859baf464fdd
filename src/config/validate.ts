/**
 * One JSON schema -> one validator that fills in defaults and answers the first fault as a
 * PointsmanError naming the field in dotted and bracketed form (`deployments[0].replicas[1].wieght:
 * unknown key; did you mean weight?`).
 *
 * The schemas are plain JSON Schema objects; nothing else in the project touches ajv.
 */
import { Ajv, type ErrorObject } from 'ajv';
import type { Static, TSchema } from 'typebox';
import { invalidField, type PointsmanError } from '../core/errors.js';
import { nearestOf } from '../core/nearest.js';

// strict is off because typebox schemas may carry keywords of documentation that ajv does not know.
const ajv = new Ajv({ allErrors: false, useDefaults: true, strict: false, verbose: true });

/** Validates a copy of `value`, so that the caller's object keeps what was sent. */
export type Validator<T> = (value: unknown, rootPath?: string) => T;

/** @throws PointsmanError (by the validator) INVALID_PARAMETER_VALUE */
export function compileValidator<S extends TSchema>(schema: S): Validator<Static<S>> {
  const check = ajv.compile<Static<S>>(schema);
  return (value, rootPath = '') => {
    const copy: unknown = structuredClone(value);
    if (check(copy)) return copy;
    throw toFieldError(check.errors?.[0], rootPath);
  };
}

function toFieldError(error: ErrorObject | undefined, rootPath: string): PointsmanError {
  if (error === undefined) return invalidField(rootPath, 'invalid value');
  const at = fieldPath(rootPath, error.instancePath);
  const params = error.params as Record<string, unknown>;
  switch (error.keyword) {
    case 'additionalProperties':
      return unknownKey(at, String(params['additionalProperty']), error.parentSchema);
    case 'required':
      return invalidField(joinPath(at, String(params['missingProperty'])), 'missing');
    default:
      return invalidField(at === '' ? 'body' : at, problemOf(error, params));
  }
}

function unknownKey(at: string, key: string, schema: unknown): PointsmanError {
  const { properties = {} } = (schema ?? {}) as { properties?: object };
  const nearest = nearestOf(key, Object.keys(properties));
  const hint = nearest === null ? '' : `; did you mean ${nearest}?`;
  return invalidField(joinPath(at, key), `unknown key${hint}`);
}

function problemOf(error: ErrorObject, params: Record<string, unknown>): string {
  const range = (error.parentSchema ?? {}) as { minimum?: number; maximum?: number };
  switch (error.keyword) {
    case 'minimum':
    case 'maximum':
      return `must be from ${String(range.minimum ?? '-')} to ${String(range.maximum ?? '-')}`;
    case 'type':
      return `must be ${articled(params['type'])}`;
    case 'enum':
      return `must be one of ${(params['allowedValues'] as unknown[]).map(String).join(', ')}`;
    case 'minItems':
      return `needs at least ${String(params['limit'])} item(s)`;
    case 'maxItems':
      return `takes at most ${String(params['limit'])} items`;
    case 'minLength':
      return 'must not be empty';
    case 'maxLength':
      return `takes at most ${String(params['limit'])} characters`;
    default:
      return error.message ?? 'invalid value';
  }
}

const TYPE_WORDS: Readonly<Record<string, string>> = {
  object: 'an object',
  array: 'a list',
  integer: 'an integer',
  number: 'a number',
  string: 'a string',
  boolean: 'true or false',
  null: 'null',
};

function articled(type: unknown): string {
  const names = Array.isArray(type) ? type.map(String) : String(type).split(',');
  return names.map((name) => TYPE_WORDS[name] ?? name).join(' or ');
}

/** `a`, `b` -> `a.b`; an index in brackets; a key that is no plain word quoted in brackets. */
export function joinPath(base: string, key: string | number): string {
  if (typeof key === 'number') return `${base}[${String(key)}]`;
  if (!/^[A-Za-z_][\w-]*$/.test(key)) return `${base}[${JSON.stringify(key)}]`;
  return base === '' ? key : `${base}.${key}`;
}

function fieldPath(rootPath: string, instancePath: string): string {
  let path = rootPath;
  for (const raw of instancePath.split('/').slice(1)) {
    const part = raw.replaceAll('~1', '/').replaceAll('~0', '~');
    path = /^\d+$/.test(part) ? joinPath(path, Number(part)) : joinPath(path, part);
  }
  return path;
}
