/** Bodies of the scoring protocol: what is understood, and how what is not is refused. */
import t from 'tap';
import { asList, asRecord, jsonOf, score, startModelServer } from './model-server-process.js';

const COLUMNS = ['sepal_length', 'sepal_width', 'petal_length', 'petal_width'];
const ROWS = [
  [5.1, 3.5, 1.4, 0.2],
  [4.9, 2.5, 4.5, 1.7],
  [6.3, 3.3, 6, 2.5],
];
const RECORDS = ROWS.map((row) => Object.fromEntries(row.map((x, i) => [COLUMNS[i] ?? '', x])));
const COLUMN_LISTS = Object.fromEntries(
  COLUMNS.map((name, column) => [name, ROWS.map((row) => row[column])]),
);

t.test('every form of the same rows gives the same predictions', async (t) => {
  const server = await startModelServer(t, 'iris-2');
  const turned = [3, 0, 2, 1];
  const forms: Record<string, unknown> = {
    dataframe_split: { dataframe_split: { columns: COLUMNS, data: ROWS } },
    'dataframe_split with an index': {
      dataframe_split: { columns: COLUMNS, index: [7, 8, 9], data: ROWS },
    },
    'dataframe_split in another order, with a column more': {
      dataframe_split: {
        columns: [...turned.map((column) => COLUMNS[column]), 'garden'],
        data: ROWS.map((row) => [...turned.map((column) => row[column]), 'kew']),
      },
    },
    dataframe_records: { dataframe_records: RECORDS },
    'dataframe_records with a __proto__ key': JSON.stringify({
      dataframe_records: RECORDS,
    }).replaceAll('{"sepal', '{"__proto__":{"petal_width":9},"sepal'),
    'instances of lists': { instances: ROWS },
    'instances of objects': { instances: RECORDS },
    'inputs of lists': { inputs: ROWS },
    'inputs of objects': { inputs: RECORDS },
    'inputs by column': { inputs: COLUMN_LISTS },
    'with brackets, quotes and backslashes in a string': {
      client_request_id: `"${'['.repeat(40)}\\"${'{'.repeat(40)}\\`,
      inputs: ROWS,
    },
    'with fields beside the data': { inputs: ROWS, params: {}, client_request_id: 'r-1', usage: 1 },
  };
  for (const [form, body] of Object.entries(forms)) {
    const response = await score(server, body);
    t.equal(response.status, 200, form);
    t.strictSame(
      await jsonOf(response),
      { predictions: ['setosa', 'virginica', 'virginica'] },
      form,
    );
  }
});

t.test('no rows give no predictions', async (t) => {
  const server = await startModelServer(t, 'iris-1');
  for (const body of [
    { instances: [] },
    { dataframe_records: [] },
    { dataframe_split: { columns: COLUMNS, data: [] } },
    { inputs: Object.fromEntries(COLUMNS.map((name) => [name, []])) },
  ]) {
    t.strictSame(await jsonOf(await score(server, body)), { predictions: [] });
  }
});

t.test('probabilities come on demand, per species, and sum to 1', async (t) => {
  const server = await startModelServer(t, 'iris-1');
  const response = await score(server, { inputs: ROWS, params: { probabilities: true } });
  const predictions = asList((await jsonOf(response))['predictions']).map(asRecord);
  t.strictSame(
    predictions.map((prediction) => prediction['species']),
    ['setosa', 'versicolor', 'virginica'],
  );
  for (const prediction of predictions) {
    const probabilities = asRecord(prediction['probabilities']);
    t.strictSame(Object.keys(probabilities), ['setosa', 'versicolor', 'virginica']);
    const values = Object.values(probabilities).map(Number);
    const sum = values.reduce((total, value) => total + value, 0);
    t.ok(Math.abs(sum - 1) < 1e-12);
    t.equal(Math.max(...values), probabilities[String(prediction['species'])]);
  }
});

t.test('the feature lookup answers one output per row in order', async (t) => {
  const server = await startModelServer(t, 'features');
  const context = { lat: 48.2, lon: 16.4 };
  const body = {
    dataframe_records: [
      { station_id: 18, ...context },
      { station_id: 99, ...context },
      { station_id: 17, ...context },
      { station_id: 17, lat: null, lon: 16.4 },
      { station_id: 17 },
    ],
  };
  t.strictSame(await jsonOf(await score(server, body)), {
    outputs: [
      { station_id: 18, height_m: 190, distance_km: 9.9 },
      { station_id: 99, height_m: null, distance_km: null },
      { station_id: 17, height_m: 171, distance_km: 3.4 },
      { station_id: 17, height_m: 171, distance_km: null },
      { station_id: 17, height_m: 171, distance_km: null },
    ],
  });
  const refusals: readonly (readonly [unknown, string])[] = [
    [{ dataframe_records: [{ lat: 1, lon: 1 }] }, 'dataframe_records[0].station_id: is missing'],
    [{ inputs: [['17', 1, 1]] }, 'inputs[0][0] (station_id): must be an integer, not a string'],
    [{ inputs: [[1.5, 1, 1]] }, 'inputs[0][0] (station_id): must be an integer, not 1.5'],
    [
      { inputs: { station_id: [17, 17], lat: [1, -90.5] } },
      'inputs.lat[1]: must be a number of degrees from -90 to 90, not -90.5',
    ],
    [
      { inputs: [[17, 1, 1]], params: { probabilities: true } },
      'params.probabilities: is unknown; features has stream',
    ],
  ];
  for (const [refused, message] of refusals) {
    const response = await score(server, refused);
    t.equal(response.status, 400);
    t.strictSame(await jsonOf(response), { error_code: 'BAD_REQUEST', message });
  }
});

const BAD_ROW = 'must be a list of values or an object';
const LENGTH = 'must be a number of centimetres from 0 to 1000';
const ONE_OF =
  'body: must have exactly one of dataframe_split, dataframe_records, instances, inputs, and has';
const WIDE = 'the model has 4 columns: sepal_length, sepal_width, petal_length, petal_width';
const split = (data: unknown, columns: unknown = COLUMNS): unknown => ({
  dataframe_split: { columns, data },
});

/** A body and the message of its refusal, which names the place. */
const REFUSALS: readonly (readonly [unknown, string | RegExp])[] = [
  ['', /^body: is empty/],
  ['{"inputs":[[1,2,3,4]}', /^body: is not JSON: /],
  ['{"inputs":[[NaN,2,3,4]]}', /^body: is not JSON: /],
  [Buffer.from('{"inputs":"\xff"}', 'latin1'), 'body: is not UTF-8'],
  ['['.repeat(1_000_000), /^body: has more than 32 lists and objects inside one another/],
  [`{"inputs":[${'{"a":'.repeat(40)}1${'}'.repeat(40)}]}`, /^body: has more than 32/],
  ['null', /^body: must be an object/],
  ['[[5.1,3.5,1.4,0.2]]', /^body: must be an object/],
  ['{}', `${ONE_OF} none of them`],
  ['{"__proto__":{"inputs":[]}}', `${ONE_OF} none of them`],
  [{ inputs: [], instances: [] }, `${ONE_OF} instances and inputs`],
  [{ inputs: ROWS, params: [] }, 'params: must be an object, not a list'],
  [{ inputs: ROWS, params: { warm: true } }, /^params\.warm: is unknown; iris-2 has probabilities/],
  ['{"inputs":[],"params":{"__proto__":true}}', /^params\.__proto__: is unknown/],
  [
    { inputs: ROWS, params: { stream: 'yes' } },
    'params.stream: must be true or false, not a string',
  ],
  [{ inputs: 'rows' }, 'inputs: must be a list of rows or an object of lists, not a string'],
  [{ inputs: null }, 'inputs: must be a list of rows or an object of lists, not null'],
  [{ inputs: [[5, 3, 1, 0.2], null] }, `inputs[1]: ${BAD_ROW}, not null`],
  [{ inputs: [5.1, 3.5, 1.4, 0.2] }, `inputs[0]: ${BAD_ROW}, not 5.1`],
  [{ inputs: [[5, 3, 1]] }, `inputs[0]: has 3 values, ${WIDE}`],
  [{ inputs: [[5, 3, 1, '0.2']] }, `inputs[0][3] (petal_width): ${LENGTH}, not a string`],
  [{ inputs: [[5, 3, [1], 0.2]] }, `inputs[0][2] (petal_length): ${LENGTH}, not a list`],
  ['{"inputs":[[1e999,3,1,0.2]]}', `inputs[0][0] (sepal_length): ${LENGTH}, not Infinity`],
  [{ inputs: [[5, -3, 1, 0.2]] }, `inputs[0][1] (sepal_width): ${LENGTH}, not -3`],
  [{ inputs: {} }, /^inputs: must have lists named after the columns: sepal_length/],
  [{ inputs: { ...COLUMN_LISTS, petal_width: 1 } }, 'inputs.petal_width: must be a list, not 1'],
  [
    { inputs: { ...COLUMN_LISTS, petal_width: [1] } },
    'inputs.petal_width: has 1 values, inputs.sepal_length has 3',
  ],
  [{ inputs: { sepal_length: [5], sepal_width: [3] } }, 'inputs.petal_length: is missing'],
  [{ instances: { sepal_length: [5] } }, 'instances: must be a list of rows, not an object'],
  [{ instances: [{ ...RECORDS[0], petal_width: null }] }, /^instances\[0\]\.petal_width: must/],
  [
    { dataframe_records: [RECORDS[0], { sepal_length: 5, sepal_width: 3, petal_length: 1 }] },
    'dataframe_records[1].petal_width: is missing',
  ],
  [
    '{"dataframe_records":[{"__proto__":{"sepal_length":1}}]}',
    'dataframe_records[0].sepal_length: is missing',
  ],
  [{ dataframe_records: [[5, 3, 1, 0.2]] }, 'dataframe_records[0]: must be an object, not a list'],
  [
    { dataframe_split: [{ columns: COLUMNS, data: ROWS }] },
    'dataframe_split: must be an object with columns and data, not a list',
  ],
  [{ dataframe_split: { data: ROWS } }, 'dataframe_split.columns: is missing'],
  [{ dataframe_split: { columns: COLUMNS } }, 'dataframe_split.data: is missing'],
  [split([[5, 3, 1]]), 'dataframe_split.data[0]: has 3 values for 4 columns'],
  [split([[5, 3, 1, 0.2], 7]), 'dataframe_split.data[1]: must be a list, not 7'],
  [split([], ['a', 'b', 'a']), 'dataframe_split.columns[2]: repeats column 0'],
  [split([], [1]), 'dataframe_split.columns[0]: must be a string, not 1'],
  [split([[5, 3, 1]], COLUMNS.slice(0, 3)), 'dataframe_split.columns (petal_width): is missing'],
  [split([[5, 3, true, 0.2]]), `dataframe_split.data[0][2] (petal_length): ${LENGTH}, not true`],
  [
    { dataframe_split: { columns: COLUMNS, data: ROWS, index: [1] } },
    'dataframe_split.index: has 1 items for 3 rows',
  ],
  [
    `{"inputs":[${'{},'.repeat(100_000)}{}]}`,
    'inputs: has 100001 rows, at most 100000 are taken at once',
  ],
];

t.test('a body that cannot be scored is a 400 that names the place', async (t) => {
  const server = await startModelServer(t, 'iris-2');
  for (const [body, message] of REFUSALS) {
    const response = await score(server, body);
    const answer = await jsonOf(response);
    const label = String(message);
    t.equal(response.status, 400, label);
    t.equal(answer['error_code'], 'BAD_REQUEST', label);
    t.match(answer['message'], message, label);
    t.equal(response.headers.get('x-model-version'), 'iris-2');
  }
  t.equal((await score(server, { inputs: ROWS })).status, 200, 'the server still answers');
  server.signal('SIGTERM');
  const exit = await server.exited;
  t.equal(exit.code, 0);
  t.equal(exit.stderr, '', 'none of them was an internal error');
});
