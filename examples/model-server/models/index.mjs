/** The models by name, and what all of them look like to the server. */
import { createFeaturesModel } from './features.mjs';
import { createIrisModel } from './iris.mjs';

/**
 * @typedef {object} Model
 * @property {string} name also the value of `x-model-version`
 * @property {readonly string[]} columns
 * @property {'predictions' | 'outputs'} answerKey field of the answer that holds the list
 * @property {'prediction' | 'output'} rowKey field of one event of a stream
 * @property {readonly string[]} params boolean parameters beside `stream`
 * @property {(table: import('../protocol.mjs').Table,
 *   params: import('../protocol.mjs').JsonObject) => unknown[]} score one answer per row, in order;
 *   throws RequestError for a cell that the model cannot use
 */

/** @type {ReadonlyMap<string, () => Model>} */
const FACTORIES = new Map([
  ['iris-1', () => createIrisModel('iris-1')],
  ['iris-2', () => createIrisModel('iris-2')],
  ['features', createFeaturesModel],
]);

export const MODEL_NAMES = [...FACTORIES.keys()];

/**
 * @param {string} name
 * @returns {Model | undefined}
 */
export function createModel(name) {
  return FACTORIES.get(name)?.();
}
