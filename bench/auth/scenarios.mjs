/** Scenarios about tokens and about who is asked how; the form of the entries is that of ../scenarios.mjs. */
import { measureSmall } from '../measures.mjs';
import { haproxy } from '../peers/haproxy.mjs';
import {
  measureCold,
  measureCrowd,
  measureFlood,
  measureLone,
  measureMemory,
} from './measures.mjs';

const SIGNED = { token: 'RS256' };
const VERIFYING = 'haproxy, jwt_verify';
const POINTSMAN = 'pointsman, RS256';

const AGAINST_HAPROXY = [
  { name: VERIFYING, proxy: haproxy, variant: SIGNED },
  // What pointsman looks at as well.
  { name: 'haproxy, and claims', proxy: haproxy, variant: { ...SIGNED, claims: true } },
  { name: POINTSMAN, variant: SIGNED },
];

/** Requests per second with a cached token, and bad tokens beside them. */
const CACHED_RATE = 5_000;
const FLOOD_RATE = 2_000;
const NO_FLOOD = 'no flood';
/** What a flood is made of: its tokens are this one with other signatures. */
const FLOODS = {
  'wrong signatures': (issuer) => issuer.token('RS256'),
  'unknown key': (issuer) => issuer.token('RS256', { keyId: 'other' }),
  garbage: () => Array.from({ length: 3 }, () => 'bm9ib2R5'.repeat(30)).join('.'),
};
/** For comparison: what any traffic of that rate does. */
const GOOD_FLOOD = 'good requests';

const CROWD = 2_000;
const CROWD_RATE = 4_000;
/** The measured requests are few beside the crowd's. */
const ROUTE_RATE = 2_000;
const STANDARD_PATH = 'standard path';
const ROUTE_PATH = 'route-optimized path';
const ROUTE = { ...SIGNED, endpoints: 2, isLimited: true, ofOneEndpoint: true };
const NO_CROWD = 'no crowd';

const REMEMBERING = 'pointsman, ES256';
const MIB_GROWN_MAX = 24;

export const AUTH_SCENARIOS = [
  {
    name: 'signed',
    title: 'one signed token (RS256) in every request: remembered, or verified each time',
    measure: measureSmall,
    usesWrk: true,
    workload: 'small',
    targets: AGAINST_HAPROXY,
    limits: [{ metric: 'cpu_us_per_request', target: POINTSMAN, times: 0.25, of: VERIFYING }],
    cases: [{ name: 'signed', title: '64 connections', connections: 64, inQuick: true }],
  },
  {
    name: 'cold',
    title: '4,096 signed tokens (RS256), each sent once; CPU of all processes',
    measure: measureCold,
    workload: 'small',
    targets: AGAINST_HAPROXY,
    limits: [{ metric: 'cpu_us_per_request', target: POINTSMAN, times: 1.5, of: VERIFYING }],
    cases: [
      {
        name: 'cold',
        title: '128 connections, so up to 128 tokens waiting',
        connections: 128,
        tokenAlgorithm: 'RS256',
        inQuick: true,
      },
    ],
  },
  {
    name: 'lone',
    title: 'signed tokens (RS256), each sent once, 50 per second (open loop)',
    measure: measureLone,
    workload: 'small',
    needsTwoCores: true,
    targets: AGAINST_HAPROXY.filter(({ variant }) => variant.claims !== true),
    limits: [
      { metric: 'p50_us', target: POINTSMAN, max: 1_000 },
      { metric: 'p99_us', target: POINTSMAN, max: 1_000 },
    ],
    cases: [
      {
        name: 'lone',
        title: '4 connections, 500 tokens a round',
        connections: 4,
        rate: 50,
        seconds: 10,
        tokenAlgorithm: 'RS256',
      },
    ],
  },
  {
    name: 'flood',
    title: `bad tokens, ${FLOOD_RATE} per second, beside ${CACHED_RATE} requests per second with a cached one (open loop)`,
    measure: measureFlood,
    workload: 'small',
    needsTwoCores: true,
    targets: [
      { name: NO_FLOOD, floodRate: 0 },
      ...Object.entries(FLOODS).map(([name, badToken]) => ({ name, badToken })),
      { name: GOOD_FLOOD },
    ].map((target) => ({ variant: SIGNED, daemon: 'shared', floodRate: FLOOD_RATE, ...target })),
    limits: Object.keys(FLOODS).map((target) => ({
      metric: 'p99_us',
      target,
      times: 1.2,
      of: NO_FLOOD,
    })),
    cases: [
      {
        name: 'flood',
        title: '64 and 64 connections',
        connections: 64,
        rate: CACHED_RATE,
        inQuick: true,
      },
    ],
  },
  {
    name: 'token-memory',
    title: '1,000,000 distinct tokens: what worker and supervisor hold',
    measure: measureMemory,
    usesWrk: true,
    roundsMax: 1,
    workload: 'small',
    targets: [{ name: REMEMBERING, variant: { token: 'ES256' } }],
    limits: ['worker_growth_mib', 'supervisor_growth_mib'].map((metric) => ({
      metric,
      target: REMEMBERING,
      max: MIB_GROWN_MAX,
    })),
    cases: [
      {
        name: 'token-memory',
        title: '800,000 bad and 200,000 good ones (ES256), 64 connections',
        connections: 64,
        tokenAlgorithm: 'ES256',
        badTokens: 800_000,
        goodTokens: 200_000,
        tokensPerFile: 20_000,
      },
    ],
  },
  {
    name: 'route',
    title: 'one token by both kinds of URL, with limits on',
    measure: measureSmall,
    usesWrk: true,
    workload: 'small',
    targets: [
      { name: STANDARD_PATH, variant: ROUTE },
      { name: ROUTE_PATH, variant: { ...ROUTE, byRoute: true } },
    ],
    limits: [{ metric: 'cpu_us_per_request', target: ROUTE_PATH, times: 1, of: STANDARD_PATH }],
    cases: [{ name: 'route', title: '64 connections', connections: 64, inQuick: true }],
  },
  {
    name: 'crowd',
    title: `${ROUTE_RATE} requests per second by the route-optimized path (open loop), and a crowd at another endpoint`,
    measure: measureCrowd,
    workload: 'small',
    needsTwoCores: true,
    targets: [
      { name: NO_CROWD, crowd: 0 },
      { name: 'idle crowd', crowd: CROWD, crowdRate: 1 },
      { name: `crowd, ${CROWD_RATE}/s`, crowd: CROWD, crowdRate: CROWD_RATE },
    ].map((target) => ({ variant: { ...ROUTE, byRoute: true }, daemon: 'shared', ...target })),
    limits: ['idle crowd', `crowd, ${CROWD_RATE}/s`].map((target) => ({
      metric: 'p99_us',
      target,
      times: 1.2,
      of: NO_CROWD,
    })),
    cases: [
      {
        name: 'crowd',
        title: `16 connections, and ${CROWD} of the crowd`,
        connections: 16,
        rate: ROUTE_RATE,
        inQuick: true,
      },
    ],
  },
];
