/**
 * The demo behind `npm start`: two versions of a small real model and a feature lookup, each a process of its
 * own, behind the endpoints `iris` (90/10) and `stations`.
 *
 * The model servers get free ports at every start, so the deployments are written again each time; the
 * endpoints only when there are none yet, because a split that somebody changed must survive a restart.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { ADMIN_PRINCIPAL } from '../auth/local-tokens.js';
import { STATE_FILES } from '../config/state-files.js';
import { findUp } from '../core/paths.js';
import type { Daemon } from './daemon.js';
import type { Io } from './io.js';

const MODEL_SERVER = 'examples/model-server/server.mjs';
const START_TIMEOUT_MS = 10_000;

/** What each deployment runs and serves. */
const MODELS = [
  { deployment: 'iris-1', model: 'iris-1', entity_name: 'demo.flowers.iris', entity_version: '1' },
  { deployment: 'iris-2', model: 'iris-2', entity_name: 'demo.flowers.iris', entity_version: '2' },
  {
    deployment: 'stations',
    model: 'features',
    entity_name: 'demo.geo.stations',
    entity_version: undefined,
  },
] as const;

const ENDPOINTS = [
  {
    name: 'iris',
    config: {
      served_entities: [
        { name: 'current', entity_name: 'demo.flowers.iris', entity_version: '1' },
        { name: 'challenger', entity_name: 'demo.flowers.iris', entity_version: '2' },
      ],
      traffic_config: {
        routes: [
          { served_entity_name: 'current', traffic_percentage: 90 },
          { served_entity_name: 'challenger', traffic_percentage: 10 },
        ],
      },
    },
  },
  { name: 'stations', config: { served_entities: [{ entity_name: 'demo.geo.stations' }] } },
];

/** Resolves when the demo answers; the result ends the model servers. */
export async function startDemo(
  daemon: Daemon,
  stateDir: string,
  io: Io,
): Promise<() => Promise<void>> {
  const servers = await Promise.all(MODELS.map(({ model }) => startModelServer(model)));
  await daemon.control.applyManifest(
    {
      deployments: MODELS.map((entry, index) => ({
        name: entry.deployment,
        serves: [
          entry.entity_version === undefined
            ? { entity_name: entry.entity_name, kind: 'feature_spec' }
            : { entity_name: entry.entity_name, entity_version: entry.entity_version },
        ],
        replicas: [{ url: servers[index]?.address ?? '' }],
      })),
      endpoints: daemon.firstStart ? ENDPOINTS : [],
    },
    { principal: ADMIN_PRINCIPAL, mode: 'upsert', dryRun: false },
  );
  await daemon.control.waitSettled(START_TIMEOUT_MS);
  for (const line of invitation(daemon, stateDir)) io.out(line);
  return async () => {
    await Promise.all(servers.map(({ child }) => end(child)));
  };
}

function invitation(daemon: Daemon, stateDir: string): string[] {
  const token = path.relative(process.cwd(), path.join(stateDir, STATE_FILES.queryToken));
  return [
    '',
    'pointsman serves the endpoint "iris": its requests are split between two versions of a model.',
    'Ask it for a prediction (from another terminal, in this folder):',
    '',
    `  curl -si ${daemon.dataUrl}/serving-endpoints/iris/invocations \\`,
    `    -H "Authorization: Bearer $(cat ${token})" -H 'Content-Type: application/json' \\`,
    `    -d '{"inputs": [[4.9, 2.5, 4.5, 1.7]]}'`,
    '',
    'Change the split while it runs:',
    '',
    `  node dist/main.js split iris current=50 challenger=50 --state-dir ${path.dirname(token)}`,
    '',
    `Admin port: ${daemon.adminUrl}. Stop with Ctrl-C.`,
    '',
  ];
}

interface ModelServer {
  readonly child: ChildProcess;
  readonly address: string;
}

function startModelServer(model: string): Promise<ModelServer> {
  const script = findUp(import.meta.dirname, MODEL_SERVER) ?? MODEL_SERVER;
  const child = spawn(process.execPath, [script, '--model', model, '--exit-with-parent'], {
    stdio: ['pipe', 'pipe', 'inherit'],
    // Ctrl-C on a terminal reaches the whole process group, but the models must outlive the drain.
    detached: true,
  });
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => {
      reject(new Error(`the model server of ${model} did not start in time`));
    }, START_TIMEOUT_MS);
    child.once('exit', (code) => {
      clearTimeout(timer);
      reject(new Error(`the model server of ${model} ended with code ${String(code)}`));
    });
    createInterface({ input: child.stdout }).once('line', (line) => {
      clearTimeout(timer);
      const { address } = JSON.parse(line) as { address: string };
      resolve({ child, address });
    });
  });
}

/** The daemon has drained, so nothing is under way: the end of its input ends a model server at once. */
function end(child: ChildProcess): Promise<void> {
  return new Promise((resolve) => {
    if (child.exitCode !== null || child.signalCode !== null) {
      resolve();
      return;
    }
    child.once('exit', () => {
      resolve();
    });
    child.stdin?.end();
  });
}
