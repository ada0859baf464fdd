/** Load with tokens: each of a file once, or bad ones that differ in nothing but their signature. */
import { createPublicKey, verify } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import t, { type Test } from 'tap';
import { loadSuite, type Target } from './suite.js';

const suite = await loadSuite();
const programs = await suite.buildPrograms(['generator']);
const { load: core } = suite.assignCores();
const issuer = new suite.Issuer();
t.teardown(() => {
  issuer.remove();
});

const LOAD = { connections: 4, seconds: 20, bodyBytes: 100, answerBytes: 64, expected: [401] };

/** Refuses everything and notes the tokens in the order in which they come. */
async function startGate(t: Test): Promise<{ target: Target; seen: string[] }> {
  const seen: string[] = [];
  const server = createServer((request, response) => {
    seen.push((request.headers.authorization ?? '').replace(/^Bearer /, ''));
    request.resume();
    request.once('end', () => response.writeHead(401).end());
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.teardown(() => {
    server.close();
    server.closeAllConnections();
  });
  const { port } = server.address() as AddressInfo;
  const headers = ['Authorization: Bearer of-the-target', 'X-Other: 1'];
  return { target: { port, path: '/', headers }, seen };
}

function isSigned(token: string): boolean {
  const key = createPublicKey(readFileSync(issuer.publicKeyFile('RS256')));
  const at = token.lastIndexOf('.');
  const signature = Buffer.from(token.slice(at + 1), 'base64url');
  return verify('sha256', Buffer.from(token.slice(0, at)), key, signature);
}

t.test('every token of a file is sent once', async (t) => {
  const { target, seen } = await startGate(t);
  const tokens = await issuer.fileOf('RS256', 100);
  const options = { ...LOAD, tokens };
  const { answers } = await suite.generateTokens(programs['generator'], target, core, options);
  t.equal(answers, 100);
  t.equal(new Set(seen).size, 100);
  t.ok(seen.every(isSigned));
});

t.test('varied tokens are distinct, well-formed and wrong', async (t) => {
  const { target, seen } = await startGate(t);
  const good = issuer.token('RS256');
  const tokens = issuer.write([good]);
  const options = { ...LOAD, tokens, varied: true, requests: 200 };
  await suite.generateTokens(programs['generator'], target, core, options);
  t.equal(new Set(seen).size, 200);
  const signed = good.slice(0, good.lastIndexOf('.'));
  for (const token of seen) {
    const signature = token.slice(signed.length + 1);
    t.equal(token, `${signed}.${signature}`);
    t.equal(Buffer.from(signature, 'base64url').toString('base64url'), signature, 'one spelling');
    t.equal(signature.length, good.length - signed.length - 1);
    t.notOk(isSigned(token));
  }
});

t.test('an answer of another status fails the load', async (t) => {
  const { target } = await startGate(t);
  const tokens = await issuer.fileOf('ES256', 2);
  const load = suite.generateTokens(programs['generator'], target, core, {
    ...LOAD,
    tokens,
    expected: [200],
  });
  await t.rejects(load, { message: /2 with status 401/ });
});

t.test('limits are judged by medians of rounds, and what was not measured is not judged', (t) => {
  const entryOf = (target: string, rounds: readonly number[]) => ({
    target,
    metrics: { cpu_us_per_request: { rounds } },
  });
  const limit = { metric: 'cpu_us_per_request', target: 'ours' };
  const judged = (limits: readonly object[]): unknown => {
    const entries = [entryOf('theirs', [40, 41, 90]), entryOf('ours', [9, 10, 90])];
    suite.judge(entries, limits);
    return suite.describeLimits(entries);
  };
  t.same(judged([{ ...limit, times: 0.25, of: 'theirs' }]), [
    'met: ours, CPU per request at most 0.25 × that of theirs: 0.24',
  ]);
  t.same(judged([{ ...limit, times: 0.2, of: 'theirs' }]), [
    'MISSED: ours, CPU per request at most 0.2 × that of theirs: 0.24',
  ]);
  // Of a host with two speeds: in two rounds 1:4, and the ratio of the medians is 5:8.
  const atTwoSpeeds = [entryOf('theirs', [40, 100, 40]), entryOf('ours', [10, 25, 30])];
  suite.judge(atTwoSpeeds, [{ ...limit, times: 0.25, of: 'theirs' }]);
  t.match(atTwoSpeeds[1], { limits: [{ met: true, value: 0.25 }] });
  t.same(judged([{ ...limit, max: 9 }]), ['MISSED: ours, CPU per request at most 9 µs: 10.00 µs']);
  t.same(judged([{ ...limit, metric: 'p99_us', max: 1 }]), []);
  t.same(judged([{ ...limit, times: 1, of: 'nobody' }]), []);
  t.same(judged([{ ...limit, target: 'nobody', max: 1 }]), []);
  t.end();
});
