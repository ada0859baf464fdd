/**
 * Multinomial logistic regression: from features to class probabilities. The fitting script and the
 * server share this file, so that what was fitted is what is served.
 *
 * `weights` has one row per class: a coefficient per feature, then the intercept.
 */

/**
 * Probabilities per class; they sum to 1.
 * @param {readonly (readonly number[])[]} weights one row per class, `features.length + 1` long
 * @param {readonly number[]} features finite numbers
 * @returns {number[]}
 */
export function softmaxProbabilities(weights, features) {
  const scores = weights.map((row) => scoreOf(row, features));
  // Without the shift exp() overflows for scores past 709 and the quotient is NaN.
  const scoreMax = Math.max(...scores);
  const exponentials = scores.map((score) => Math.exp(score - scoreMax));
  const sum = exponentials.reduce((total, value) => total + value, 0);
  return exponentials.map((value) => value / sum);
}

/**
 * Index of the greatest value; of equal ones the first.
 * @param {readonly number[]} values at least one
 */
export function indexOfMax(values) {
  return values.indexOf(Math.max(...values));
}

/**
 * @param {readonly number[]} row
 * @param {readonly number[]} features
 */
function scoreOf(row, features) {
  let score = row[features.length];
  for (let index = 0; index < features.length; index += 1) {
    score += row[index] * features[index];
  }
  return score;
}
