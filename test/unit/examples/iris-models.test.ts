/** The training data, the fit and the two fitted models, each through its real process. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import {
  MODEL_SERVER_FOLDER,
  asList,
  asRecord,
  createTestFolder,
  jsonOf,
  runScript,
  score,
  startModelServer,
} from './model-server-process.js';

const SPECIES = ['setosa', 'versicolor', 'virginica'];

interface Plant {
  readonly lengths: readonly number[];
  readonly species: string;
}

function readPlants(): readonly Plant[] {
  const text = readFileSync(join(MODEL_SERVER_FOLDER, 'iris.csv'), 'utf8');
  const [, ...lines] = text.trim().split('\n');
  return lines.map((line) => {
    const cells = line.split(',');
    return { lengths: cells.slice(0, 4).map(Number), species: cells[4] ?? '' };
  });
}

function readModel(folder: string, name: string): Record<string, unknown> {
  return asRecord(JSON.parse(readFileSync(join(folder, `${name}.json`), 'utf8')));
}

function weightsOf(model: Readonly<Record<string, unknown>>): number[] {
  return asList(model['weights']).flatMap((row) => asList(row).map(Number));
}

t.test('the training data has the means that Fisher published', (t) => {
  const expected: Record<string, readonly number[]> = {
    setosa: [5.006, 3.428, 1.462, 0.246],
    versicolor: [5.936, 2.77, 4.26, 1.326],
    virginica: [6.588, 2.974, 5.552, 2.026],
  };
  const plants = readPlants();
  t.equal(plants.length, 150);
  for (const species of SPECIES) {
    const ofSpecies = plants.filter((plant) => plant.species === species);
    t.equal(ofSpecies.length, 50);
    const means = [0, 1, 2, 3].map((column) => {
      const sum = ofSpecies.reduce((total, plant) => total + (plant.lengths[column] ?? NaN), 0);
      return Number((sum / ofSpecies.length).toFixed(3));
    });
    t.strictSame(means, expected[species], species);
  }
  t.end();
});

t.test('a refit gives the coefficients in the repository', async (t) => {
  const folder = createTestFolder(t);
  const exit = await runScript('fit.mjs', ['--out', folder]);
  t.equal(exit.code, 0, exit.stderr);
  for (const name of ['iris-1', 'iris-2']) {
    const fitted = weightsOf(readModel(folder, name));
    const stored = weightsOf(readModel(join(MODEL_SERVER_FOLDER, 'models'), name));
    t.equal(fitted.length, stored.length);
    const differences = fitted.map((value, index) => Math.abs(value - (stored[index] ?? NaN)));
    // One unit of the last decimal kept: another platform's exp() may round the other way.
    t.ok(Math.max(...differences) < 1.5e-6, `${name} differs by ${String(differences)}`);
  }
});

t.test('coefficients are the minimum of the penalised likelihood', (t) => {
  // At the minimum the gradient is 0: for each class and feature, the sum over the plants of
  // (probability - indicator) * feature cancels penalty * coefficient.
  const plants = readPlants();
  for (const name of ['iris-1', 'iris-2']) {
    const model = readModel(join(MODEL_SERVER_FOLDER, 'models'), name);
    const columns = asList(model['columns']);
    const used = asList(model['features']).map((feature) => columns.indexOf(feature));
    const weights = asList(model['weights']).map((row) => asList(row).map(Number));
    const gradient = weights.map((row) =>
      row.map((weight, index) => (index < used.length ? Number(model['penalty']) * weight : 0)),
    );
    for (const plant of plants) {
      const inputs = [...used.map((column) => plant.lengths[column] ?? NaN), 1];
      const exponentials = weights.map((row) =>
        Math.exp(row.reduce((sum, weight, index) => sum + weight * (inputs[index] ?? NaN), 0)),
      );
      const total = exponentials.reduce((sum, value) => sum + value, 0);
      gradient.forEach((row, label) => {
        const indicator = plant.species === SPECIES[label] ? 1 : 0;
        const residual = (exponentials[label] ?? NaN) / total - indicator;
        inputs.forEach((input, index) => {
          row[index] = (row[index] ?? NaN) + residual * input;
        });
      });
    }
    const steepest = Math.max(...gradient.flat().map(Math.abs));
    t.ok(steepest < 1e-3, `${name}: steepest slope is ${String(steepest)}`);
  }
  t.end();
});

t.test('both versions predict well and not alike', async (t) => {
  const plants = readPlants();
  const body = { inputs: plants.map((plant) => plant.lengths) };
  const predictionsOf = async (name: 'iris-1' | 'iris-2'): Promise<readonly unknown[]> => {
    const server = await startModelServer(t, name);
    return asList((await jsonOf(await score(server, body)))['predictions']);
  };
  const [first, second] = await Promise.all([predictionsOf('iris-1'), predictionsOf('iris-2')]);
  const accuracyOf = (predictions: readonly unknown[]): number =>
    plants.filter((plant, index) => plant.species === predictions[index]).length / plants.length;
  t.ok(accuracyOf(first) >= 0.9, `iris-1: ${String(accuracyOf(first))}`);
  t.ok(accuracyOf(second) >= 0.96, `iris-2: ${String(accuracyOf(second))}`);
  const models = join(MODEL_SERVER_FOLDER, 'models');
  t.equal(accuracyOf(first).toFixed(6), Number(readModel(models, 'iris-1')['accuracy']).toFixed(6));
  t.equal(
    accuracyOf(second).toFixed(6),
    Number(readModel(models, 'iris-2')['accuracy']).toFixed(6),
  );
  const differing = plants.filter((_, index) => first[index] !== second[index]);
  t.ok(differing.length > 0, 'some plants are named differently by the two versions');
  t.match(
    differing.map((plant) => plant.lengths.join(' ')),
    ['6.7 3 5 1.7', '4.9 2.5 4.5 1.7', '6 2.2 5 1.5', '6.3 2.8 5.1 1.5'],
    'the second of these is the example of the README',
  );
});
