/**
 * What a command reads of an answer, checked before it is read: whatever answers may be no daemon,
 * or another version of it. Fields that are not read are not looked at.
 */

export type Shape<T> = (value: unknown) => value is T;

export const text: Shape<string> = (value) => typeof value === 'string';

export const number: Shape<number> = (value) => typeof value === 'number';

export const flag: Shape<boolean> = (value) => typeof value === 'boolean';

/** Epoch milliseconds that a date can have. */
export const time: Shape<number> = (value): value is number =>
  typeof value === 'number' && !Number.isNaN(new Date(value).getTime());

/** For an answer that is shown as it is. */
export const anything: Shape<unknown> = (value): value is unknown => value !== undefined;

export function orNull<T>(shape: Shape<T>): Shape<T | null> {
  return (value): value is T | null => value === null || shape(value);
}

export function optional<T>(shape: Shape<T>): Shape<T | undefined> {
  return (value): value is T | undefined => value === undefined || shape(value);
}

export function listOf<T>(shape: Shape<T>): Shape<T[]> {
  return (value): value is T[] => Array.isArray(value) && value.every(shape);
}

type Read<T> = { readonly [Key in keyof T]?: (value: unknown) => boolean };

export function objectOf<T extends object>(fields: Read<T>): Shape<T> {
  const checks = Object.entries(fields) as [string, (value: unknown) => boolean][];
  return (value): value is T => {
    if (typeof value !== 'object' || value === null || Array.isArray(value)) return false;
    const object = value as Readonly<Record<string, unknown>>;
    return checks.every(([key, holds]) =>
      holds(Object.hasOwn(object, key) ? object[key] : undefined),
    );
  };
}
