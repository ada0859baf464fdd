/** What native code and TypeScript number alike, read from the headers: failures of exchanges and refusals. */
import { readFileSync } from 'node:fs';
import t from 'tap';
import { FailureCode } from '../../../src/native/contract.js';
import {
  failureRefusal,
  refusalError,
  refusalNumber,
  refusalTexts,
  type Refusal,
} from '../../../src/worker/refusals.js';
import { projectFile } from '../project-file.js';

/** The constants of an enum class of the header, in order, as `[name without its k, value]`. */
function enumerators(path: string, name: string): [string, number][] {
  const header = readFileSync(projectFile(path), 'utf8').replace(/\/\/.*$/gm, '');
  const body = new RegExp(`enum class ${name}[^{]*\\{([^}]*)\\}`).exec(header)?.[1];
  let next = 0;
  return (body ?? '')
    .split(',')
    .map((one) => /k(\w+)(?:\s*=\s*(\d+))?/.exec(one))
    .filter((one) => one !== null)
    .map((one) => {
      next = one[2] === undefined ? next : Number(one[2]);
      return [one[1] ?? '', next++];
    });
}

void t.test('refusals stand in the same order on both sides', (t) => {
  const names = enumerators('native/front/refusal.h', 'Refusal');
  t.equal(names.length, refusalTexts(1, 1).length);
  for (const [name, number] of names) {
    const refusal = `${name.charAt(0).toLowerCase()}${name.slice(1)}` as Refusal;
    t.equal(refusalNumber(refusal), number, refusal);
  }
  t.end();
});

void t.test('failures have the same numbers on both sides, and a status each', (t) => {
  const failures = enumerators('native/net/exchange.h', 'Failure');
  const codes: Record<string, number> = FailureCode;
  t.equal(failures.length, Object.keys(codes).length + 1);
  for (const [name, number] of failures.filter(([name]) => name !== 'None')) {
    const code = name.replace(/(?!^)([A-Z])/g, '_$1').toUpperCase();
    t.equal(codes[code], number, code);
  }
  const statuses = Object.entries(codes).map(([code, number]) => [
    code,
    refusalError(failureRefusal(number)).status,
  ]);
  t.match(Object.fromEntries(statuses), {
    NO_READY_ADDRESS: 503,
    CONNECTION_LIMIT: 503,
    OUT_OF_MEMORY: 503,
    BAD_ANSWER: 502,
    TOTAL_TIMEOUT: 504,
    BAD_REQUEST: 400,
    ENTITY_LIMIT: 429,
    LOOP: 508,
  });
  t.equal(refusalError('outOfMemory').retryAfterS, 1);
  t.end();
});
