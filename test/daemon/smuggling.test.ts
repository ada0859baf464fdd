/**
 * Requests hidden in other requests, against the live front: each gadget is refused and its connection ends, or it is
 * answered as exactly one message and the next request on the connection gets its own answer. The hidden request asks an endpoint
 * of its own, whose replica remembers every byte: there is none.
 */
import t, { type Test } from 'tap';
import {
  GUARDED_MODES,
  pathOf,
  startInMode,
  startRecordingReplica,
  type DataMode,
} from './data-modes.js';
import type { TestDaemon } from './harness.js';
import { gadgets } from './smuggling-gadgets.js';
import type { Gadget } from './smuggling-kit.js';
import {
  BrokenAnswer,
  ok,
  post,
  valuesOf,
  WireClient,
  type WireAnswer,
  type WireRequest,
} from './wire.js';

/** A gadget that is neither answered nor ended by then hangs. */
const SILENCE_MS = 4_000;
const SIDE_BY_SIDE = 8;
const INVOKE = pathOf('echo');

/** How a gadget comes: at once, cut where its head ends, or in one packet with a request before it. */
type Delivery = 'whole' | 'cut' | 'pipelined';
const DELIVERIES: readonly Delivery[] = ['whole', 'cut', 'pipelined'];

function within<T>(wanted: Promise<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => {
      reject(new Error('silence'));
    }, SILENCE_MS);
    wanted.then(resolve, reject).finally(() => {
      clearTimeout(timer);
    });
  });
}

function deliver(daemon: TestDaemon, client: WireClient, gadget: Gadget, how: Delivery): void {
  const { bytes } = gadget;
  if (how === 'pipelined') {
    client.send(post(daemon, INVOKE, 'before') + bytes);
    return;
  }
  const headEnd = how === 'cut' ? bytes.indexOf('\r\n\r\n') + 4 : bytes.length;
  client.send(bytes.slice(0, headEnd));
  if (headEnd < bytes.length) setImmediate(() => client.send(bytes.slice(headEnd)));
}

async function finalAnswer(client: WireClient, method: string): Promise<WireAnswer> {
  for (;;) {
    const answer = await within(client.answer(method));
    if (answer.status >= 200) return answer;
  }
}

/** What is wrong with the outcome; empty when nothing is. */
async function judge(daemon: TestDaemon, client: WireClient, gadget: Gadget): Promise<string> {
  const method = gadget.bytes.startsWith('HEAD ') ? 'HEAD' : 'POST';
  const answer = await finalAnswer(client, method);
  const closes = valuesOf(answer, 'connection').includes('close');
  if (answer.status < 400) {
    const isHealth = gadget.bytes.includes('/healthz') || gadget.bytes.startsWith('OPTIONS *');
    if (gadget.body === null) return `must be refused; got ${String(answer.status)}`;
    if (!isHealth && answer.body.toString('latin1') !== gadget.body) return 'another body';
  } else if (gadget.body === null && !closes) {
    return `refused with ${String(answer.status)}, and the connection goes on`;
  }
  if (closes) {
    const rest = await within(client.rest());
    return rest.length === 0 ? '' : `more behind the last answer: ${rest.toString('latin1')}`;
  }
  const behind = await finalAnswer(client.send(post(daemon, INVOKE, 'behind')), 'POST');
  const isOwn = behind.status === 200 && behind.body.toString() === 'behind';
  return isOwn ? '' : `the next request got ${behind.head}${behind.body.toString('latin1')}`;
}

async function run(t: Test, daemon: TestDaemon, gadget: Gadget, how: Delivery): Promise<string> {
  const client = new WireClient(t, daemon.dataPort);
  try {
    deliver(daemon, client, gadget, how);
    if (how === 'pipelined') {
      const before = await finalAnswer(client, 'POST');
      if (before.body.toString() !== 'before') return 'the request before it got another answer';
    }
    return await judge(daemon, client, gadget);
  } catch (error) {
    if (error instanceof BrokenAnswer) return `no answer: ${error.message}`;
    return String(error);
  } finally {
    client.socket.destroy();
  }
}

/** What a replica must never see. */
function faultOf(request: WireRequest): string {
  const framings = ['content-length', 'transfer-encoding'].flatMap((name) =>
    valuesOf(request, name),
  );
  if (framings.length !== 1) return `${String(framings.length)} framings: ${request.head}`;
  return request.firstLine === 'POST /invocations HTTP/1.1' ? '' : request.firstLine;
}

async function checkMode(t: Test, mode: DataMode): Promise<void> {
  const faults: string[] = [];
  const echo = await startRecordingReplica(t, (request, socket) => {
    const fault = faultOf(request);
    if (fault !== '') faults.push(fault);
    socket.write(ok(request.body.toString('latin1')), 'latin1');
  });
  const canary = await startRecordingReplica(t, (_request, socket) => {
    socket.write(ok('canary'));
  });
  const daemon = await startInMode(t, mode, { echo, canary });
  const hidden = post(daemon, pathOf('canary'), '{"hidden":true}');
  const auth = `Authorization: Bearer ${daemon.queryToken}`;
  const all = gadgets({ path: INVOKE, hidden, auth });
  t.ok(all.length > 600, `${String(all.length)} gadgets`);
  const pid = await daemon.workerPid();
  const failures: string[] = [];
  const left = DELIVERIES.flatMap((how) => all.map((gadget) => ({ gadget, how })));
  const drain = async (): Promise<void> => {
    for (let one = left.shift(); one !== undefined; one = left.shift()) {
      const failure = await run(t, daemon, one.gadget, one.how);
      if (failure !== '') failures.push(`${one.how} ${one.gadget.title}: ${failure}`);
      if (canary.bytes() !== '') {
        failures.push(`${one.how} ${one.gadget.title}: or one beside it let the hidden one out`);
        canary.forget();
      }
    }
  };
  await Promise.all(Array.from({ length: SIDE_BY_SIDE }, drain));
  t.same(failures.slice(0, 40), []);
  t.same(faults.slice(0, 10), []);
  t.equal(await daemon.workerPid(), pid, 'the worker lives');
  const seen = await daemon.invoke(pathOf('canary'), {});
  t.equal(seen.status, 200);
  t.equal(canary.requests.length, 1, 'the canary works: what asks for it openly gets there');
}

for (const mode of GUARDED_MODES) t.test(mode, (t) => checkMode(t, mode));
