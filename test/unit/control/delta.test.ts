import t from 'tap';
import { deltaOf, difference } from '../../../src/control/delta.js';
import type {
  DeploymentAddresses,
  DeploymentSpec,
  EndpointRoutes,
  Snapshot,
} from '../../../src/control/messages.js';

function routes(name: string, deployment = 'm'): EndpointRoutes {
  const entity = { name: 'a', sharePpm: 1_000_000, deployment, statsSlot: 0, maxInFlight: 0 };
  return {
    name,
    id: name,
    configVersion: 1,
    entities: [entity],
    readers: [],
    routeOptimized: false,
  };
}

function spec(name: string): DeploymentSpec {
  return {
    name,
    protocol: 0,
    headers: [],
    connectMs: 1,
    responseHeaderMs: 1,
    bodyIdleMs: 1,
    totalMs: 0,
    keepaliveIdleMs: 1,
    replaySafe: false,
    limitSlot: 0,
    maxInFlight: 0,
    queueMax: 0,
    queueMs: 0,
  };
}

function addresses(deployment: string): DeploymentAddresses {
  return { deployment, addresses: [] };
}

const BASE: Snapshot = {
  revision: 7,
  endpoints: [routes('a'), routes('b', 'n'), routes('c')],
  deployments: [spec('m'), spec('n')],
  addresses: [addresses('m'), addresses('n')],
};

const NOTHING = {
  revision: 8,
  baseRevision: 7,
  endpoints: [],
  removedEndpoints: [],
  deployments: [],
  removedDeployments: [],
  addresses: [],
};

t.test('the same parts: nothing but the revision', (t) => {
  t.strictSame(deltaOf(BASE, { ...BASE, revision: 8 }), NOTHING);
  t.end();
});

t.test('no base: everything', (t) => {
  t.strictSame(deltaOf(null, BASE), {
    ...NOTHING,
    revision: 7,
    baseRevision: 0,
    endpoints: BASE.endpoints,
    deployments: BASE.deployments,
    addresses: BASE.addresses,
  });
  t.end();
});

t.test('endpoints that are new, changed and gone', (t) => {
  const [a, b, c] = BASE.endpoints as [EndpointRoutes, EndpointRoutes, EndpointRoutes];
  const changed = routes('b', 'n');
  const added = routes('d');
  const next = { ...BASE, revision: 8, endpoints: [a, changed, c, added] };
  t.strictSame(deltaOf(BASE, next), { ...NOTHING, endpoints: [changed, added] });
  const fewer = deltaOf(BASE, { ...BASE, revision: 8, endpoints: [b, c] });
  t.strictSame(fewer, { ...NOTHING, removedEndpoints: ['a'] });
  const moved = deltaOf(BASE, { ...BASE, revision: 8, endpoints: [c, a, b] });
  t.strictSame(moved, NOTHING, 'order is no difference');
  t.end();
});

t.test('a changed deployment brings its endpoints and addresses', (t) => {
  const [m, n] = BASE.deployments as [DeploymentSpec, DeploymentSpec];
  const changed = spec('m');
  t.strictSame(deltaOf(BASE, { ...BASE, revision: 8, deployments: [changed, n] }), {
    ...NOTHING,
    endpoints: [BASE.endpoints[0], BASE.endpoints[2]],
    deployments: [changed],
    addresses: [BASE.addresses[0]],
  });
  const gone = { ...BASE, revision: 8, deployments: [m], addresses: [BASE.addresses[0]] };
  t.match(deltaOf(BASE, gone as Snapshot), {
    deployments: [],
    removedDeployments: ['n'],
    addresses: [],
  });
  t.end();
});

t.test('another list of addresses goes alone', (t) => {
  const list = addresses('n');
  const next = {
    ...BASE,
    revision: 8,
    addresses: [BASE.addresses[0], list] as typeof BASE.addresses,
  };
  t.strictSame(deltaOf(BASE, next), { ...NOTHING, addresses: [list] });
  t.end();
});

t.test('10,000 endpoints, one changed in the middle: less than 3 ms', (t) => {
  const endpoints = Array.from({ length: 10_000 }, (_, index) => routes(`e${String(index)}`));
  const base = { ...BASE, endpoints };
  const next = { ...base, revision: 8, endpoints: endpoints.with(5_000, routes('e5000')) };
  const worst = {
    ...next,
    endpoints: next.endpoints.with(0, routes('e0')).with(9_999, routes('e9999')),
    deployments: [spec('m'), spec('n')],
  };
  for (const [what, snapshot, count] of [
    ['one', next, 1],
    ['first, last and every deployment', worst, 10_000],
  ] as const) {
    const times = Array.from({ length: 20 }, () => {
      const startMs = performance.now();
      t.equal(deltaOf(base, snapshot).endpoints.length, count);
      return performance.now() - startMs;
    });
    t.comment(`${what}: ${Math.min(...times).toFixed(2)} ms`);
    t.ok(Math.min(...times) < 3, what);
  }
  t.end();
});

t.test('difference names each side once', (t) => {
  const [x, y, z] = [{}, {}, {}];
  t.strictSame(difference([], []), { gone: [], fresh: [] });
  const { gone, fresh } = difference([x, y], [y, z]);
  t.equal(gone[0], x);
  t.equal(fresh[0], z);
  t.equal(gone.length + fresh.length, 2);
  t.end();
});
