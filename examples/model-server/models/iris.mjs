/** Which iris is it? Predictions of a fitted softmax regression (see fit.mjs). */
import { readFileSync } from 'node:fs';
import { badRequest, describe } from '../protocol.mjs';
import { indexOfMax, softmaxProbabilities } from './softmax.mjs';

/** Centimetres; no petal is longer, and the bound keeps every score finite. */
const LENGTH_MAX = 1000;

/**
 * @typedef {object} FittedModel what fit.mjs writes
 * @property {string[]} species
 * @property {string[]} columns every model version takes all of them, so that one request suits all
 * @property {string[]} features the columns that this version looks at
 * @property {number[][]} weights
 */

/**
 * @param {string} name `iris-1` or `iris-2`
 * @returns {import('./index.mjs').Model}
 */
export function createIrisModel(name) {
  const file = readFileSync(new URL(`${name}.json`, import.meta.url), 'utf8');
  const fitted = /** @type {FittedModel} */ (JSON.parse(file));
  const featureIndexes = fitted.features.map((feature) => fitted.columns.indexOf(feature));
  return {
    name,
    columns: fitted.columns,
    answerKey: 'predictions',
    rowKey: 'prediction',
    params: ['probabilities'],
    score(table, params) {
      const rows = table.rows.map((row, rowIndex) =>
        row.map((cell, column) => readLength(cell, () => table.placeOf(rowIndex, column))),
      );
      return rows.map((row) => {
        const features = featureIndexes.map((index) => row[index]);
        const probabilities = softmaxProbabilities(fitted.weights, features);
        const species = fitted.species[indexOfMax(probabilities)];
        if (params['probabilities'] !== true) return species;
        const named = fitted.species.map((label, index) => [label, probabilities[index]]);
        return { species, probabilities: Object.fromEntries(named) };
      });
    },
  };
}

/**
 * @param {unknown} cell
 * @param {() => string} placeOf
 */
function readLength(cell, placeOf) {
  if (cell === undefined) throw badRequest(placeOf(), 'is missing');
  if (typeof cell !== 'number' || !(cell >= 0 && cell <= LENGTH_MAX)) {
    throw badRequest(
      placeOf(),
      `must be a number of centimetres from 0 to ${LENGTH_MAX}, not ${describe(cell)}`,
    );
  }
  return cell;
}
