/**
 * Filters of SCIM lists (RFC 7644, 3.4.2.2), as far as clients of the API use them: comparisons
 * joined by `and` and `or`, where `and` binds stronger; no parentheses. Text is compared without
 * regard to case, and may stand in single quotes, as the Terraform provider has it.
 */
import type { Json, JsonObject } from '../../control/control-plane.js';
import { invalidField } from '../../core/errors.js';

export type Filter = (resource: JsonObject) => boolean;

const FILTER_CHARS_MAX = 1_024;

const OPERATORS = {
  eq: (have: string, want: string) => have === want,
  ne: (have: string, want: string) => have !== want,
  co: (have: string, want: string) => have.includes(want),
  sw: (have: string, want: string) => have.startsWith(want),
  ew: (have: string, want: string) => have.endsWith(want),
} as const satisfies Record<string, (have: string, want: string) => boolean>;

const WORD = /\s*("(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|[^\s"'][^\s"]*)/y;

/** @throws PointsmanError naming `field`. */
export function parseFilter(text: string, field: string): Filter {
  if (text.length > FILTER_CHARS_MAX) {
    throw invalidField(field, `takes at most ${String(FILTER_CHARS_MAX)} characters`);
  }
  const words = wordsOf(text.trim(), field);
  const alternatives: Filter[][] = [[]];
  for (let at = 0; at < words.length;) {
    const comparison = words.slice(at, at + 3);
    const { filter, length } = parseComparison(comparison, field);
    alternatives.at(-1)?.push(filter);
    at += length;
    if (at === words.length) break;
    const joint = words[at]?.toLowerCase();
    if (joint === 'or') alternatives.push([]);
    else if (joint !== 'and')
      throw invalidField(field, `"and" or "or" is missing at word ${String(at + 1)}`);
    at += 1;
    if (at === words.length) throw invalidField(field, 'ends with "and" or "or"');
  }
  return (resource) => alternatives.some((all) => all.every((filter) => filter(resource)));
}

function wordsOf(text: string, field: string): string[] {
  const words: string[] = [];
  WORD.lastIndex = 0;
  while (WORD.lastIndex < text.length) {
    const found = WORD.exec(text)?.[1];
    if (found === undefined) throw invalidField(field, 'has a quote that is not closed');
    words.push(found);
  }
  if (words.length === 0) throw invalidField(field, 'must not be empty');
  return words;
}

function parseComparison(
  words: readonly string[],
  field: string,
): { filter: Filter; length: number } {
  const [attribute = '', operator = '', operand] = words;
  if (!/^[A-Za-z][A-Za-z.]*$/.test(attribute)) {
    throw invalidField(field, `${JSON.stringify(attribute)} is no attribute`);
  }
  const path = attribute.toLowerCase().split('.');
  if (operator.toLowerCase() === 'pr') {
    return { filter: (resource) => valuesAt(resource, path).length > 0, length: 2 };
  }
  const name = operator.toLowerCase();
  if (!Object.hasOwn(OPERATORS, name)) {
    const known = [...Object.keys(OPERATORS), 'pr'].join(', ');
    throw invalidField(field, `${JSON.stringify(operator)} is no operator; known: ${known}`);
  }
  const compare = OPERATORS[name as keyof typeof OPERATORS];
  const want = operandOf(operand, field);
  const filter: Filter = (resource) => {
    const values = valuesAt(resource, path);
    // "ne" means that no value equals.
    if (name === 'ne') return values.every((have) => compare(have, want));
    return values.some((have) => compare(have, want));
  };
  return { filter, length: 3 };
}

function operandOf(word: string | undefined, field: string): string {
  if (word === undefined) throw invalidField(field, 'a comparison has no value');
  if (word.startsWith("'")) return word.slice(1, -1).replace(/\\(.)/g, '$1').toLowerCase();
  if (!word.startsWith('"')) return word.toLowerCase();
  try {
    return String(JSON.parse(word)).toLowerCase();
  } catch {
    throw invalidField(field, `${word} is no text in quotes`);
  }
}

/** The plain values under a path, in lower case; a list stands for its items, an item for its `value`. */
function valuesAt(value: Json | undefined, path: readonly string[]): string[] {
  if (value === undefined || value === null) return [];
  if (Array.isArray(value)) return value.flatMap((item) => valuesAt(item, path));
  const [name, ...rest] = path;
  if (typeof value !== 'object') return name === undefined ? [String(value).toLowerCase()] : [];
  const wanted = name ?? 'value';
  const key = Object.keys(value).find((one) => one.toLowerCase() === wanted);
  return key === undefined ? [] : valuesAt(value[key], rest);
}
