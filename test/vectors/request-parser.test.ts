/**
 * The request parser alone on the vectors for the data port, at every cut, as far as a parser can be judged: what must
 * be refused is refused with an allowed status, what may be served is read. Status codes of what is served, and what a
 * connection does afterwards, are for the daemon's tests.
 */
import { readFileSync } from 'node:fs';
import path from 'node:path';
import t from 'tap';
import { replayRequests, type RequestResult } from '../native/http1-replay.js';
import { projectFile } from '../unit/project-file.js';

type Status = number | 'none';
type Verdict = Readonly<Record<string, readonly Status[]>>;

interface ConformanceCase {
  readonly id: string;
  readonly request?: string;
  readonly verdict?: { readonly pass: Verdict; readonly warn?: Verdict };
}

const FOLDER = path.join(path.dirname(projectFile('package.json')), '../shared/vectors');

/** Statuses that only a message gets that was not understood. */
const REFUSALS = new Set<Status>([400, 408, 414, 417, 431, 505, 'none']);

/** Cases without a verdict on the status: the body to be read, or null where the message must be refused. */
const WITHOUT_VERDICT: Readonly<Record<string, string | null>> = {
  'COMP-POST-CL-BODY': 'hello',
  'COMP-CHUNKED-BODY': 'hello',
  'COMP-CHUNKED-MULTI': 'hello world',
  'COMP-CHUNKED-EXTENSION': 'hello',
  'COMP-CHUNKED-TRAILER-VALID': 'hello',
  'COMP-CHUNKED-HEX-UPPERCASE': 'helloworld',
  'COMP-HEAD-NO-BODY': '',
  'COMP-405-ALLOW': '',
  'COMP-DATE-HEADER': '',
  'COMP-DATE-FORMAT': '',
  'COMP-NO-CL-IN-204': '',
  'COMP-OPTIONS-ALLOW': '',
  'COMP-CONTENT-TYPE': '',
  'COMP-TRACE-SENSITIVE': '',
  // The router drops the field when it relays; it frames nothing here.
  'NORM-UNDERSCORE-CL': 'hello world',
  'NORM-UNDERSCORE-TE': 'hello world',
  'NORM-SP-BEFORE-COLON-CL': null,
  'NORM-TAB-IN-NAME': null,
  'NORM-CASE-TE': null,
};

function load(name: string): unknown {
  return JSON.parse(readFileSync(path.join(FOLDER, name), 'utf8'));
}

function statusesOf(verdict: Verdict | undefined): Status[] {
  return Object.values(verdict ?? {}).flat();
}

/** What is wrong with the parser's answer; empty when nothing is. */
function judge(one: ConformanceCase, result: RequestResult): string {
  const isRefused = result.error !== 'none';
  const isRead = !isRefused && result.messages.length === 1;
  if (one.verdict === undefined) {
    const body = WITHOUT_VERDICT[one.id];
    if (body === undefined) return 'nothing is known of this case';
    if (body === null) return result.status === 400 ? '' : 'must be refused';
    return isRead && result.messages[0]?.body === body ? '' : `must be read with ${body}`;
  }
  const allowed = [...statusesOf(one.verdict.pass), ...statusesOf(one.verdict.warn)];
  if (isRefused) {
    return allowed.includes(result.status) ? '' : `must not be ${String(result.status)}`;
  }
  if (result.messages.every((message) => message.isComplete) && isRead) {
    return allowed.some((status) => !REFUSALS.has(status)) ? '' : 'must be refused';
  }
  return allowed.includes('none') ? '' : 'must be answered at once';
}

t.test('request conformance', async (t) => {
  const { tests } = load('http11-request-conformance.json') as { tests: ConformanceCase[] };
  const cases = tests.flatMap((one) => (one.request === undefined ? [] : [one]));
  t.ok(cases.length >= 70, 'most cases are single requests');
  const results = await replayRequests(cases.map((one) => one.request ?? ''));
  cases.forEach((one, index) => {
    const result = results[index];
    t.equal(result === undefined ? 'no result' : judge(one, result), '', one.id);
  });
});

t.test('Host', async (t) => {
  const { hosts } = load('host-header.json') as {
    hosts: { host: string; valid: boolean | null }[];
  };
  t.ok(hosts.length >= 42);
  const results = await replayRequests(
    hosts.map(({ host }) => `GET /x HTTP/1.1\r\nHost: ${host}\r\n\r\n`),
  );
  hosts.forEach(({ host, valid }, index) => {
    const result = results[index];
    if (valid === null) return;
    t.equal(result?.status, valid ? 200 : 400, JSON.stringify(host));
    t.equal(result?.messages[0]?.host, valid ? host : undefined, JSON.stringify(host));
  });
});

t.test('what other parsers let through', async (t) => {
  interface Weakness {
    id: string;
    send: string[];
    canary?: string;
  }
  const { tests } = load('front-parser-weaknesses.json') as { tests: Weakness[] };
  t.ok(tests.length >= 5);
  const results = await replayRequests(tests.map(({ send }) => send.join('')));
  tests.forEach(({ id, canary }, index) => {
    const result = results[index];
    t.equal(result?.status, 400, id);
    t.notOk(
      result?.messages.some((message) => message.isComplete || message.path === canary),
      `${id}: no message is complete`,
    );
  });
});
