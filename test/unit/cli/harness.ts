/**
 * The command line in this process against a real control plane, a real store and the real admin
 * port; the data plane keeps its snapshots in memory and its counters are the test's. Time is the
 * test's too: a sleep of the command moves it and lets everything else have a turn.
 */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setImmediate as nextTurn } from 'node:timers/promises';
import type { Test } from 'tap';
import { pino } from 'pino';
import { createAdminApp } from '../../../src/admin/app.js';
import { Authenticator } from '../../../src/auth/authenticator.js';
import { CredentialChecker, hashToken } from '../../../src/auth/credentials.js';
import { IdentityBook } from '../../../src/auth/identity-book.js';
import { LoginThrottle } from '../../../src/auth/login-throttle.js';
import { StoredIdentities } from '../../../src/auth/stored-identities.js';
import type { Io } from '../../../src/cli/io.js';
import { runCli } from '../../../src/cli/program.js';
import { STATE_FILES } from '../../../src/config/state-files.js';
import type { ControlPlaneOptions } from '../../../src/control/create-control-plane.js';
import { systemClock } from '../../../src/core/clock.js';
import { createSealer } from '../../../src/store/sealed-box.js';
import { Store } from '../../../src/store/store.js';
import {
  entityCounts,
  startControl,
  startReplica,
  tempDir,
  type Harness,
  type Replica,
} from '../control/harness.js';

export const TOKEN = 'token-of-the-test-daemon';

export interface Daemon extends Harness {
  readonly url: string;
  readonly replica: Replica;
  /** What the workers have counted for the endpoint `iris`. */
  setCounters(entities: readonly { entity: string; ok: number; failed: number }[]): void;
  close(): Promise<void>;
}

/** A daemon's supervisor half whose state directory holds URL and token as a real one's does. */
export async function startDaemon(
  t: Test,
  options: Partial<ControlPlaneOptions> = {},
): Promise<Daemon> {
  const store = Store.open(tempDir(t));
  const book = new IdentityBook(store.identities, systemClock);
  const harness = await startControl(t, { ...options, store, directory: book });
  const replica = await startReplica(t);
  const identities = new StoredIdentities({
    tables: store.identities,
    sealer: createSealer(Buffer.alloc(32)),
    clock: systemClock,
    book,
    grants: harness.control.grants,
  });
  const admin = { tokenSha256: hashToken(TOKEN), principal: 'admin' };
  const localTokens = new CredentialChecker([admin]);
  const throttle = new LoginThrottle(systemClock);
  const authenticator = new Authenticator({ localTokens, identities, throttle });
  const app = createAdminApp({
    control: harness.control,
    authenticate: (authorization, address) => authenticator.authenticate(authorization, address),
    identities,
    workspaceId: '1',
    supervisor: {
      workers: () => [
        {
          slot: 0,
          pid: 42,
          state: 'SERVING',
          mode: 'js',
          revision: 1,
          heartbeat_age_ms: 12,
          revisions_held: 2,
          connections: 3,
          connections_refused: 5,
          in_flight: 1,
          restarts: 4,
          degraded: true,
        },
      ],
      refusals: () => [],
      ready: () => ({ ready: true, reason: '' }),
      dataPlaneUrl: () => 'http://127.0.0.1:1',
    },
    metrics: { contentType: 'text/plain', render: () => Promise.resolve('') },
    logger: pino({ level: 'silent' }),
    version: '9.9.9',
    loopbackOnly: true,
    allowedHosts: [],
    updateDeadlineMs: 1000,
    oidc: {
      issuer: 'http://127.0.0.1:1/oidc',
      baseUrl: () => 'http://127.0.0.1:1',
      workspaceId: '1',
      tokens: { answer: () => Promise.reject(new Error('no command asks for tokens')) },
      keys: {
        publicKeys: () => [],
        rotate: ({ revoke }) => Promise.resolve(revoke ? 'fresh' : 'next'),
      },
    },
  });
  t.teardown(() => app.close());
  const url = await app.listen({ host: '127.0.0.1', port: 0 });
  writeFileSync(join(harness.dir, STATE_FILES.adminUrl), `${url}\n`);
  writeFileSync(join(harness.dir, STATE_FILES.adminToken), `${TOKEN}\n`);
  return {
    ...harness,
    url,
    replica,
    setCounters: (counters) => {
      const iris = harness.dataPlane.last.endpoints.find(({ name }) => name === 'iris');
      for (const { entity, ok, failed } of counters) {
        const slot = iris?.entities.find(({ name }) => name === entity)?.statsSlot;
        if (slot === undefined) throw new Error(`${entity} is not served`);
        harness.dataPlane.counters.entities.set(slot, entityCounts(ok, failed));
      }
    },
    close: () => app.close(),
  };
}

export interface RunOptions {
  readonly env?: Record<string, string>;
  readonly input?: string;
  /** Makes the terminal interactive; the answer to every question. */
  readonly answer?: string;
  /**
   * Called at each sleep with the time in milliseconds since the start; may interrupt the command.
   */
  readonly onSleep?: (elapsedMs: number, interrupt: () => void) => void;
}

export interface RunResult {
  readonly code: number;
  readonly out: string;
  readonly err: string;
  readonly questions: string[];
}

export async function run(argv: readonly string[], options: RunOptions = {}): Promise<RunResult> {
  const out: string[] = [];
  const err: string[] = [];
  const questions: string[] = [];
  const interruption = new AbortController();
  let elapsedMs = 0;
  const io: Io = {
    env: options.env ?? {},
    interactive: options.answer !== undefined,
    signal: interruption.signal,
    out: (line) => void out.push(line),
    err: (line) => void err.push(line),
    ask: (question) => {
      questions.push(question);
      return Promise.resolve(options.answer ?? '');
    },
    readInput: () => Promise.resolve(Buffer.from(options.input ?? '')),
    nowMs: () => elapsedMs,
    sleep: async (delayMs) => {
      elapsedMs += delayMs;
      options.onSleep?.(elapsedMs, () => {
        interruption.abort();
      });
      await nextTurn();
    },
  };
  const code = await runCli(argv, '9.9.9', io);
  return { code, out: out.join('\n'), err: err.join('\n'), questions };
}

/** A deployment and an endpoint `iris` at 90/10 in front of `url`. */
export function irisManifest(url: string): object {
  const entity = (name: string, version: string): object => ({
    name,
    entity_name: 'demo.models.iris',
    entity_version: version,
    workload_size: 'Small',
    scale_to_zero_enabled: false,
  });
  return {
    deployments: [
      {
        name: 'iris',
        serves: ['1', '2'].map((version) => ({
          entity_name: 'demo.models.iris',
          entity_version: version,
        })),
        protocol: 'mlflow',
        replicas: [{ url }],
        health: { interval_ms: 100, timeout_ms: 1000 },
      },
    ],
    endpoints: [
      {
        name: 'iris',
        config: {
          served_entities: [entity('current', '1'), entity('challenger', '2')],
          traffic_config: {
            routes: [
              { served_model_name: 'current', traffic_percentage: 90 },
              { served_model_name: 'challenger', traffic_percentage: 10 },
            ],
          },
        },
      },
    ],
  };
}
