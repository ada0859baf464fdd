/**
 * YAML 1.2 as strictly as JSON is read: one document, core schema, text keys, no duplicate keys, no
 * `__proto__`, no unknown tags, bounded depth and aliases; every error says line and column.
 */
import {
  isCollection,
  isPair,
  isScalar,
  parseAllDocuments,
  type Document,
  type Node,
  type Scalar,
} from 'yaml';
import { PointsmanError } from '../core/errors.js';
import { DEPTH_MAX, checkUnicode, checkVersionSpelling, formatPath } from './json-text.js';
import { malformed, positionAt, type TextPosition } from './text-position.js';

/** Expansions of aliases in one document; more looks like an attempt to fill memory. */
const ALIASES_MAX = 100;

/**
 * An empty document is null.
 * @throws PointsmanError as parseJson does.
 */
export function parseYaml(text: string): unknown {
  try {
    const document = readDocument(text);
    if (document === null) return null;
    checkNode(document.contents, [], text);
    return document.toJS({ maxAliasCount: ALIASES_MAX }) as unknown;
  } catch (error) {
    if (error instanceof PointsmanError) throw error;
    if (error instanceof RangeError)
      throw malformed('Too many levels of nesting', positionAt(text, 0));
    if (error instanceof ReferenceError) {
      throw malformed(
        `${error.message} (aliases),`,
        positionAt(text, Math.max(0, text.indexOf('*'))),
      );
    }
    throw error;
  }
}

function readDocument(text: string): Document.Parsed | null {
  const documents = parseAllDocuments(text, {
    version: '1.2',
    schema: 'core',
    strict: true,
    stringKeys: true,
    // The library compares every key with every other one; checkNode does it in one pass.
    uniqueKeys: false,
    prettyErrors: false,
    logLevel: 'silent',
  });
  const [document, second] = documents as Document.Parsed[];
  if (document === undefined) return null;
  const problem = document.errors[0] ?? document.warnings[0];
  if (problem !== undefined) {
    throw malformed(`The text is not YAML: ${problem.message},`, positionAt(text, problem.pos[0]));
  }
  if (second !== undefined) {
    throw malformed('A second YAML document begins', positionAt(text, second.range[0]));
  }
  return document;
}

/**
 * Walks the node tree once; aliases are not followed, what they point at is checked where it
 * stands.
 */
function checkNode(node: unknown, path: (string | number)[], text: string): void {
  if (isScalar(node)) {
    checkScalar(node, path, text);
    return;
  }
  if (!isCollection(node)) return;
  if (path.length >= DEPTH_MAX) {
    throw malformed(`More than ${String(DEPTH_MAX)} levels of nesting`, startOf(node, text));
  }
  const keys = new Set<unknown>();
  node.items.forEach((item, index) => {
    const key = isPair(item) && isScalar(item.key) ? item.key : null;
    if (key !== null && keys.has(key.value)) {
      throw malformed(`The key ${JSON.stringify(key.value)} appears twice`, startOf(key, text));
    }
    if (key !== null) keys.add(key.value);
    if (key?.value === '__proto__') {
      throw malformed('The key "__proto__" is not allowed', startOf(key, text));
    }
    if (typeof key?.value === 'string') checkUnicode(formatPath(path), key.value);
    path.push(key === null ? index : String(key.value));
    checkNode(isPair(item) ? item.value : item, path, text);
    path.pop();
  });
}

function checkScalar(node: Scalar, path: (string | number)[], text: string): void {
  const { value, source } = node;
  if (typeof value === 'string') checkUnicode(formatPath(path), value);
  if (typeof value !== 'number') return;
  if (!Number.isFinite(value)) {
    throw malformed(`The number ${source ?? ''} is not finite`, startOf(node, text));
  }
  const key = path.at(-1);
  if (typeof key === 'string') checkVersionSpelling(formatPath(path), key, source ?? String(value));
}

function startOf(node: Node, text: string): TextPosition {
  return positionAt(text, node.range?.[0] ?? 0);
}
