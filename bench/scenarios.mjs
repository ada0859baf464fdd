/**
 * What is measured, as data. A scenario starts its targets once; every case of it is measured in interleaved rounds.
 *
 * `targets`: absent: pointsman and the peers. A list: variants of pointsman, or of a peer (`proxy`), the first of which the
 * others are held against. `limits`, of a scenario or a case: see limits.mjs. `roundsMax`: for those that take minutes.
 * `withDirect`: the load is also sent to the replica without a proxy. `needsTwoCores`: on one core the figure would be
 * that of the load. `usesWrk`: the load is wrk's. `isOnOneCore`: the supervisor has much to do, and beside the load it
 * would make the generator late, so it runs on the proxy's core.
 */
import { AUTH_SCENARIOS } from './auth/scenarios.mjs';
import { BETTER_PEER } from './limits.mjs';
import { addDelays, measureBytes, measureEvents, measureLatency } from './measures.mjs';
import { measurePushes, measureSmall } from './measures.mjs';

const RATE = 10_000;
const MANY_ENDPOINTS = 10_000;
/** Paths in the load: more would be a benchmark of the client's caches. */
const SPREAD = 1_000;
const PUSH_EVERY_MS = 100;

export const SCENARIOS = [
  {
    name: 'small',
    title: '100-byte request, 64-byte answer, closed loop',
    workload: 'small',
    measure: measureSmall,
    usesWrk: true,
    cases: Object.entries({ 16: 0.9, 64: 0.85, 256: 0.65 }).map(([connections, times]) => ({
      name: `small-${connections}`,
      title: `${connections} connections`,
      connections: Number(connections),
      inQuick: connections === '64',
      limits: [{ metric: 'cpu_us_per_request', target: 'pointsman', times, of: BETTER_PEER }],
    })),
  },
  {
    name: 'latency',
    title: `100-byte request, 64-byte answer, ${RATE} per second (open loop)`,
    workload: 'small',
    measure: measureLatency,
    withDirect: true,
    needsTwoCores: true,
    limits: ['p50_us', 'p99_us', 'p999_us'].map((metric) => ({
      metric,
      target: 'pointsman',
      times: 1.1,
      of: BETTER_PEER,
    })),
    cases: [
      { name: 'latency', title: '64 connections', connections: 64, rate: RATE, inQuick: true },
    ],
  },
  {
    name: 'answers',
    title: 'large answers, closed loop',
    measure: measureBytes,
    usesWrk: true,
    workload: 'kib64',
    cases: [
      { name: 'answer-64k', title: '64 KiB, 16 connections', connections: 16, inQuick: true },
    ],
  },
  {
    name: 'large-answers',
    title: 'very large answers, closed loop',
    measure: measureBytes,
    usesWrk: true,
    workload: 'mib1',
    cases: [{ name: 'answer-1m', title: '1 MiB, 16 connections', connections: 16 }],
  },
  {
    name: 'requests',
    title: 'large requests, closed loop',
    measure: measureBytes,
    usesWrk: true,
    workload: 'small',
    cases: [
      {
        name: 'request-64k',
        title: '64 KiB, 16 connections',
        connections: 16,
        bodyBytes: 65_536,
      },
    ],
  },
  {
    name: 'sse',
    title: 'streams of 64-byte events, one per 10 ms each',
    measure: measureEvents,
    afterRound: addDelays,
    workload: 'events',
    withDirect: true,
    needsTwoCores: true,
    cases: [{ name: 'sse', title: '100 streams', connections: 100, inQuick: true }],
  },
  {
    name: 'endpoints',
    title: `${MANY_ENDPOINTS} configured endpoints against 2`,
    measure: measureSmall,
    usesWrk: true,
    workload: 'small',
    targets: [
      { name: '2 endpoints', variant: { endpoints: 2 }, endpoints: 2 },
      {
        name: `${MANY_ENDPOINTS} endpoints`,
        variant: { endpoints: MANY_ENDPOINTS },
        endpoints: SPREAD,
      },
    ],
    cases: [
      {
        name: 'endpoints',
        title: 'one of them asked, 64 connections',
        connections: 64,
        isOneEndpoint: true,
        limits: [
          {
            metric: 'cpu_us_per_request',
            target: `${MANY_ENDPOINTS} endpoints`,
            times: 1.02,
            of: '2 endpoints',
          },
        ],
      },
      {
        name: 'endpoints-spread',
        title: `up to ${SPREAD} of them asked in turn, 64 connections`,
        connections: 64,
      },
    ],
  },
  {
    name: 'push',
    title: `a split change per ${PUSH_EVERY_MS} ms, ${RATE} requests per second (open loop), the whole daemon on one core`,
    measure: measurePushes,
    workload: 'small',
    needsTwoCores: true,
    isOnOneCore: true,
    targets: [
      { name: 'no push', pushEveryMs: 0, daemon: 'shared' },
      { name: 'pushes', pushEveryMs: PUSH_EVERY_MS, daemon: 'shared' },
    ],
    limits: [{ metric: 'p99_us', target: 'pushes', times: 1.2, of: 'no push' }],
    cases: [{ name: 'push', title: '64 connections', connections: 64, rate: RATE, inQuick: true }],
  },
  {
    name: 'token',
    title: 'a cached token against no authentication',
    measure: measureSmall,
    usesWrk: true,
    workload: 'small',
    targets: [
      { name: 'no token', variant: { auth: 'disabled' } },
      { name: 'cached token', variant: { auth: 'required' } },
    ],
    cases: [{ name: 'token', title: '64 connections', connections: 64 }],
  },
  ...AUTH_SCENARIOS,
];

/** What `--only` takes: scenarios, single cases of them, and the micro benches. */
export const MICRO = 'micro';

export function selectableNames() {
  const cases = SCENARIOS.flatMap((scenario) => scenario.cases.map((one) => one.name));
  return [...new Set([...SCENARIOS.map(({ name }) => name), ...cases, MICRO])];
}

/** The scenarios with the cases that are wanted. `only` empty: all, or those of a quick run. */
export function selectScenarios(only, isQuick) {
  return SCENARIOS.map((scenario) => ({
    ...scenario,
    cases: scenario.cases.filter((one) =>
      only.length === 0
        ? !isQuick || one.inQuick === true
        : only.includes(scenario.name) || only.includes(one.name),
    ),
  })).filter(({ cases }) => cases.length > 0);
}
