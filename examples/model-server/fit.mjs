/**
 * Fits the two iris models from iris.csv and writes models/iris-1.json and models/iris-2.json.
 *
 * Softmax regression with an L2 penalty on the coefficients (not on the intercepts), by Newton's
 * method from zero: no random start, no learning rate, so every run gives the same numbers. The
 * classes' scores are only defined up to a common shift; the penalty settles that for the
 * coefficients and the first class's intercept is held at 0 for the rest.
 *
 * Usage: node fit.mjs [--out DIRECTORY]     (default: the models folder beside this file)
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { indexOfMax, softmaxProbabilities } from './models/softmax.mjs';

/** Newton steps; both models need fewer than 15. */
const STEPS_MAX = 50;
/** A step whose greatest change is below this ends the fit. */
const STEP_MIN = 1e-10;
/** Decimals kept in the files: enough to predict alike, few enough to be equal on every platform. */
const DECIMALS = 6;

/**
 * @typedef {{ features: string[], penalty: number }} Recipe
 * @typedef {{ species: string[], columns: string[], rows: number[][], labels: number[] }} Dataset
 */

/** @type {Readonly<Record<string, Recipe>>} */
const RECIPES = {
  'iris-1': { features: ['petal_length', 'petal_width'], penalty: 1 },
  'iris-2': {
    features: ['sepal_length', 'sepal_width', 'petal_length', 'petal_width'],
    penalty: 0.1,
  },
};

/**
 * @param {string} text columns of numbers, the last column the species
 * @returns {Dataset}
 */
function parseDataset(text) {
  const [header = '', ...lines] = text.trim().split('\n');
  const cells = lines.map((line) => line.split(','));
  const species = [...new Set(cells.map((row) => row.at(-1) ?? ''))];
  return {
    species,
    columns: header.split(',').slice(0, -1),
    rows: cells.map((row) => row.slice(0, -1).map(Number)),
    labels: cells.map((row) => species.indexOf(row.at(-1) ?? '')),
  };
}

/**
 * @param {Dataset} dataset
 * @param {readonly string[]} features
 */
function selectFeatures(dataset, features) {
  const indexes = features.map((name) => dataset.columns.indexOf(name));
  return dataset.rows.map((row) => indexes.map((index) => row[index]));
}

/**
 * @param {readonly (readonly number[])[]} rows
 * @param {readonly number[]} labels class index per row
 * @param {number} classCount
 * @param {number} penalty
 * @returns {number[][]} per class: coefficients, then the intercept
 */
function fitSoftmax(rows, labels, classCount, penalty) {
  const width = (rows[0]?.length ?? 0) + 1;
  const weights = Array.from({ length: classCount }, () => new Array(width).fill(0));
  for (let step = 0; step < STEPS_MAX; step += 1) {
    const { gradient, hessian } = differentiate(rows, labels, weights, penalty);
    holdAt(width - 1, gradient, hessian);
    const change = solve(hessian, gradient);
    change.forEach((value, index) => {
      weights[Math.floor(index / width)][index % width] -= value;
    });
    if (Math.max(...change.map(Math.abs)) < STEP_MIN) return weights;
  }
  throw new Error(`the fit did not settle in ${STEPS_MAX} steps`);
}

/**
 * First and second derivatives of the penalised negative log likelihood.
 * @param {readonly (readonly number[])[]} rows
 * @param {readonly number[]} labels
 * @param {number[][]} weights
 * @param {number} penalty
 */
function differentiate(rows, labels, weights, penalty) {
  const width = weights[0]?.length ?? 0;
  const size = weights.length * width;
  /** @type {number[]} */
  const gradient = new Array(size).fill(0);
  /** @type {number[][]} */
  const hessian = Array.from({ length: size }, () => new Array(size).fill(0));
  rows.forEach((row, rowIndex) => {
    const extended = [...row, 1];
    const probabilities = softmaxProbabilities(weights, row);
    for (let a = 0; a < size; a += 1) {
      const classA = Math.floor(a / width);
      const probabilityA = probabilities[classA];
      const residual = probabilityA - (labels[rowIndex] === classA ? 1 : 0);
      gradient[a] += residual * extended[a % width];
      for (let b = 0; b < size; b += 1) {
        const classB = Math.floor(b / width);
        const curvature = probabilityA * ((classA === classB ? 1 : 0) - probabilities[classB]);
        hessian[a][b] += curvature * extended[a % width] * extended[b % width];
      }
    }
  });
  for (let index = 0; index < size; index += 1) {
    if (index % width === width - 1) continue;
    gradient[index] += penalty * weights[Math.floor(index / width)][index % width];
    hessian[index][index] += penalty;
  }
  return { gradient, hessian };
}

/**
 * Takes one unknown out of the system: its step becomes 0.
 * @param {number} fixed
 * @param {number[]} gradient
 * @param {number[][]} hessian
 */
function holdAt(fixed, gradient, hessian) {
  gradient[fixed] = 0;
  hessian.forEach((row, index) => {
    row[fixed] = index === fixed ? 1 : 0;
  });
  hessian[fixed] = hessian.map((_, index) => (index === fixed ? 1 : 0));
}

/**
 * Gaussian elimination with row exchange; changes its arguments.
 * @param {number[][]} matrix square
 * @param {number[]} right
 * @returns {number[]}
 */
function solve(matrix, right) {
  const size = right.length;
  for (let column = 0; column < size; column += 1) {
    let pivot = column;
    for (let row = column + 1; row < size; row += 1) {
      if (Math.abs(matrix[row][column]) > Math.abs(matrix[pivot][column])) pivot = row;
    }
    [matrix[column], matrix[pivot]] = [matrix[pivot], matrix[column]];
    [right[column], right[pivot]] = [right[pivot], right[column]];
    for (let row = column + 1; row < size; row += 1) {
      const factor = matrix[row][column] / matrix[column][column];
      for (let k = column; k < size; k += 1) matrix[row][k] -= factor * matrix[column][k];
      right[row] -= factor * right[column];
    }
  }
  const solution = new Array(size).fill(0);
  for (let row = size - 1; row >= 0; row -= 1) {
    let sum = right[row];
    for (let k = row + 1; k < size; k += 1) sum -= matrix[row][k] * solution[k];
    solution[row] = sum / matrix[row][row];
  }
  return solution;
}

/**
 * @param {readonly (readonly number[])[]} weights
 * @param {readonly (readonly number[])[]} rows
 * @param {readonly number[]} labels
 * @returns {number} share of rows whose likeliest class is the label
 */
function accuracyOf(weights, rows, labels) {
  const right = rows.filter(
    (row, index) => indexOfMax(softmaxProbabilities(weights, row)) === labels[index],
  );
  return right.length / rows.length;
}

/**
 * Accuracy on plants that the fit has not seen: one fit per plant, without that plant.
 * @param {number[][]} rows
 * @param {number[]} labels
 * @param {number} classCount
 * @param {number} penalty
 */
function leaveOneOutAccuracy(rows, labels, classCount, penalty) {
  const hits = rows.filter((row, left) => {
    const others = (/** @type {unknown} */ _, /** @type {number} */ index) => index !== left;
    const weights = fitSoftmax(rows.filter(others), labels.filter(others), classCount, penalty);
    return indexOfMax(softmaxProbabilities(weights, row)) === labels[left];
  });
  return hits.length / rows.length;
}

/**
 * JSON with a line per field and per class, so that a refit reads well as a diff.
 * @param {Readonly<Record<string, unknown>>} model
 */
function formatModel(model) {
  const fields = Object.entries(model).map(([key, value]) => {
    const lines =
      key === 'weights' && Array.isArray(value)
        ? `[\n    ${value.map(formatValue).join(',\n    ')}\n  ]`
        : formatValue(value);
    return `  ${JSON.stringify(key)}: ${lines}`;
  });
  return `{\n${fields.join(',\n')}\n}\n`;
}

/** @param {unknown} value a scalar or a list of scalars without commas in them */
function formatValue(value) {
  return JSON.stringify(value).replaceAll(',', ', ');
}

/** @param {number} value */
function round(value) {
  return Number(value.toFixed(DECIMALS));
}

const here = fileURLToPath(new URL('.', import.meta.url));
const { values } = parseArgs({ options: { out: { type: 'string' } } });
const outFolder = values.out ?? join(here, 'models');
const dataset = parseDataset(readFileSync(join(here, 'iris.csv'), 'utf8'));
for (const [name, recipe] of Object.entries(RECIPES)) {
  const rows = selectFeatures(dataset, recipe.features);
  const classCount = dataset.species.length;
  const weights = fitSoftmax(rows, dataset.labels, classCount, recipe.penalty);
  const model = {
    name,
    species: dataset.species,
    columns: dataset.columns,
    features: recipe.features,
    penalty: recipe.penalty,
    accuracy: round(accuracyOf(weights, rows, dataset.labels)),
    leave_one_out_accuracy: round(
      leaveOneOutAccuracy(rows, dataset.labels, classCount, recipe.penalty),
    ),
    weights: weights.map((row) => row.map(round)),
  };
  writeFileSync(join(outFolder, `${name}.json`), formatModel(model));
  const { accuracy, leave_one_out_accuracy } = model;
  process.stdout.write(`${JSON.stringify({ name, accuracy, leave_one_out_accuracy })}\n`);
}
