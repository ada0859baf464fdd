/**
 * The MLflow scoring protocol: from the bytes of a request to a table of cells.
 *
 * A body carries its rows in exactly one of four fields, and two of those in several shapes. All of
 * them end in one form here, cells in the order of the model's columns, so that a model knows
 * nothing of the shapes. What a cell may hold is the model's business. Nothing here assigns to a
 * property that a client named, so a `__proto__` in a body is a key like any other.
 */

/** Bytes of a body. */
export const BODY_BYTES_MAX = 16 * 1024 * 1024;
/** Rows of one request: about half a second of work, during which /ping waits. */
const ROWS_MAX = 100_000;
/**
 * Lists and objects inside one another. No legal body needs more than 4. A body of nothing but
 * brackets would otherwise cost fifty times its size in memory before it could be refused.
 */
const NESTING_MAX = 32;

const DATA_FIELDS = ['dataframe_split', 'dataframe_records', 'instances', 'inputs'];

/** A request that cannot be served; `message` is for the client and says what to change. */
export class RequestError extends Error {
  /**
   * @param {number} status
   * @param {string} code `error_code` of the answer
   * @param {string} message
   * @param {Readonly<Record<string, string>>} [headers] sent with the answer
   */
  constructor(status, code, message, headers = {}) {
    super(message);
    this.name = 'RequestError';
    this.status = status;
    this.code = code;
    this.headers = headers;
  }
}

/**
 * 400 that names the place.
 * @param {string} place such as `dataframe_records[2].petal_width`
 * @param {string} problem
 */
export function badRequest(place, problem) {
  return new RequestError(400, 'BAD_REQUEST', `${place}: ${problem}`);
}

/**
 * @typedef {object} Table
 * @property {readonly (readonly unknown[])[]} rows cells in the order of the model's columns;
 *   `undefined` where the row has none
 * @property {(row: number, column: number) => string} placeOf where a cell stood in the body
 *
 * @typedef {Readonly<Record<string, unknown>>} JsonObject
 * @typedef {{ table: Table, params: JsonObject }} ScoringRequest
 */

/**
 * @param {Uint8Array} bytes the whole body
 * @param {readonly string[]} columns the model's columns; rows without names are read in this order
 * @returns {ScoringRequest}
 * @throws {RequestError}
 */
export function parseScoringRequest(bytes, columns) {
  const body = parseJson(bytes);
  if (!isObject(body)) {
    throw badRequest('body', `must be an object with one of ${DATA_FIELDS.join(', ')}`);
  }
  const fields = DATA_FIELDS.filter((field) => Object.hasOwn(body, field));
  const [field] = fields;
  if (field === undefined || fields.length > 1) {
    const found = fields.length === 0 ? 'none of them' : fields.join(' and ');
    throw badRequest(
      'body',
      `must have exactly one of ${DATA_FIELDS.join(', ')}, and has ${found}`,
    );
  }
  const params = readParams(body);
  return { table: readTable(field, body[field], columns), params };
}

/**
 * What a value is, in words for a message; never its content, which may be huge.
 * @param {unknown} value
 */
export function describe(value) {
  if (value === undefined) return 'nothing';
  if (value === null) return 'null';
  if (Array.isArray(value)) return 'a list';
  if (typeof value === 'object') return 'an object';
  if (typeof value === 'string') return 'a string';
  return String(value);
}

/** @param {Uint8Array} bytes */
function parseJson(bytes) {
  if (bytes.length === 0) {
    throw badRequest('body', `is empty; send JSON with one of ${DATA_FIELDS.join(', ')}`);
  }
  if (isDeeperThan(bytes, NESTING_MAX)) {
    throw badRequest('body', `has more than ${NESTING_MAX} lists and objects inside one another`);
  }
  let text;
  try {
    text = new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch (error) {
    if (error instanceof TypeError) throw badRequest('body', 'is not UTF-8');
    throw error;
  }
  try {
    return /** @type {unknown} */ (JSON.parse(text));
  } catch (error) {
    if (error instanceof SyntaxError) throw badRequest('body', `is not JSON: ${error.message}`);
    throw error;
  }
}

/**
 * Counts brackets outside strings; of text that is not JSON the answer means nothing and does no
 * harm. Bytes of multi-byte UTF-8 letters are all past 0x7f, so none looks like a bracket.
 * @param {Uint8Array} bytes
 * @param {number} nestingMax
 */
function isDeeperThan(bytes, nestingMax) {
  let depth = 0;
  let inString = false;
  for (let index = 0; index < bytes.length; index += 1) {
    const byte = bytes[index];
    if (inString) {
      if (byte === 0x5c) index += 1;
      else if (byte === 0x22) inString = false;
    } else if (byte === 0x22) {
      inString = true;
    } else if (byte === 0x5b || byte === 0x7b) {
      depth += 1;
      if (depth > nestingMax) return true;
    } else if (byte === 0x5d || byte === 0x7d) {
      depth -= 1;
    }
  }
  return false;
}

/** @param {JsonObject} body */
function readParams(body) {
  const params = Object.hasOwn(body, 'params') ? body['params'] : {};
  if (!isObject(params)) throw badRequest('params', `must be an object, not ${describe(params)}`);
  return params;
}

/**
 * @param {string} field
 * @param {unknown} value
 * @param {readonly string[]} columns
 * @returns {Table}
 */
function readTable(field, value, columns) {
  if (field === 'dataframe_split') return readSplit(value, columns);
  if (field === 'inputs' && isObject(value)) return readColumns(value, columns);
  if (!Array.isArray(value)) {
    const shape = field === 'inputs' ? 'a list of rows or an object of lists' : 'a list of rows';
    throw badRequest(field, `must be ${shape}, not ${describe(value)}`);
  }
  return readRows(field, value, columns);
}

/**
 * `{columns: [name], data: [[cell]], index?: [any]}`
 * @param {unknown} split
 * @param {readonly string[]} columns
 * @returns {Table}
 */
function readSplit(split, columns) {
  const place = 'dataframe_split';
  if (!isObject(split)) {
    throw badRequest(place, `must be an object with columns and data, not ${describe(split)}`);
  }
  const names = ownList(split, 'columns', place);
  const data = ownList(split, 'data', place);
  checkRowCount(`${place}.data`, data.length);
  const indexes = indexesOf(names, columns, `${place}.columns`);
  if (Object.hasOwn(split, 'index') && split['index'] !== null) {
    const { length } = ownList(split, 'index', place);
    if (length !== data.length) {
      throw badRequest(`${place}.index`, `has ${length} items for ${data.length} rows`);
    }
  }
  const rows = data.map((row, rowIndex) => {
    const list = listAt(row, `${place}.data[${rowIndex}]`);
    if (list.length !== names.length) {
      throw badRequest(
        `${place}.data[${rowIndex}]`,
        `has ${list.length} values for ${names.length} columns`,
      );
    }
    return indexes.map((index) => (index < 0 ? undefined : list[index]));
  });
  return {
    rows,
    placeOf: (row, column) => {
      const index = indexes[column];
      return index < 0
        ? `${place}.columns (${columns[column]})`
        : `${place}.data[${row}][${index}] (${columns[column]})`;
    },
  };
}

/**
 * Before any row is looked at: a body of empty rows is many rows.
 * @param {string} place
 * @param {number} count
 */
function checkRowCount(place, count) {
  if (count > ROWS_MAX) {
    throw badRequest(place, `has ${count} rows, at most ${ROWS_MAX} are taken at once`);
  }
}

/**
 * Where each of the model's columns stands among the names sent; -1 where it does not.
 * @param {readonly unknown[]} names
 * @param {readonly string[]} columns
 * @param {string} place
 */
function indexesOf(names, columns, place) {
  /** @type {Map<string, number>} */
  const known = new Map();
  names.forEach((name, index) => {
    if (typeof name !== 'string') {
      throw badRequest(`${place}[${index}]`, `must be a string, not ${describe(name)}`);
    }
    if (known.has(name)) {
      throw badRequest(`${place}[${index}]`, `repeats column ${known.get(name)}`);
    }
    known.set(name, index);
  });
  return columns.map((column) => known.get(column) ?? -1);
}

/**
 * `[[cell]]` in the order of the model's columns, or `[{name: cell}]`; each row may be either.
 * `dataframe_records` takes objects only.
 * @param {string} field
 * @param {readonly unknown[]} list
 * @param {readonly string[]} columns
 * @returns {Table}
 */
function readRows(field, list, columns) {
  checkRowCount(field, list.length);
  const listsTaken = field !== 'dataframe_records';
  const rows = list.map((row, index) => {
    if (isObject(row)) {
      return columns.map((column) => (Object.hasOwn(row, column) ? row[column] : undefined));
    }
    const place = `${field}[${index}]`;
    if (listsTaken && Array.isArray(row)) {
      if (row.length === columns.length) return row;
      throw badRequest(
        place,
        `has ${row.length} values, the model has ${columns.length} columns: ${columns.join(', ')}`,
      );
    }
    const shape = listsTaken ? 'a list of values or an object' : 'an object';
    throw badRequest(place, `must be ${shape}, not ${describe(row)}`);
  });
  return {
    rows,
    placeOf: (row, column) =>
      Array.isArray(list[row])
        ? `${field}[${row}][${column}] (${columns[column]})`
        : `${field}[${row}].${columns[column]}`,
  };
}

/**
 * `{name: [cell]}`, all lists of one length.
 * @param {JsonObject} inputs
 * @param {readonly string[]} columns
 * @returns {Table}
 */
function readColumns(inputs, columns) {
  const lists = columns.map((column) =>
    Object.hasOwn(inputs, column) ? listAt(inputs[column], `inputs.${column}`) : undefined,
  );
  const first = lists.findIndex((list) => list !== undefined);
  if (first < 0) {
    throw badRequest('inputs', `must have lists named after the columns: ${columns.join(', ')}`);
  }
  const rowCount = lists[first]?.length ?? 0;
  checkRowCount(`inputs.${columns[first]}`, rowCount);
  lists.forEach((list, column) => {
    if (list === undefined || list.length === rowCount) return;
    throw badRequest(
      `inputs.${columns[column]}`,
      `has ${list.length} values, inputs.${columns[first]} has ${rowCount}`,
    );
  });
  return {
    rows: Array.from({ length: rowCount }, (_, row) => lists.map((list) => list?.[row])),
    placeOf: (row, column) =>
      lists[column] === undefined
        ? `inputs.${columns[column]}`
        : `inputs.${columns[column]}[${row}]`,
  };
}

/**
 * @param {JsonObject} object
 * @param {string} key
 * @param {string} place of the object
 */
function ownList(object, key, place) {
  if (!Object.hasOwn(object, key)) throw badRequest(`${place}.${key}`, 'is missing');
  return listAt(object[key], `${place}.${key}`);
}

/**
 * @param {unknown} value
 * @param {string} place
 * @returns {readonly unknown[]}
 */
function listAt(value, place) {
  if (Array.isArray(value)) return value;
  throw badRequest(place, `must be a list, not ${describe(value)}`);
}

/**
 * @param {unknown} value
 * @returns {value is JsonObject}
 */
function isObject(value) {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
