/** Starts the stub replica: two entities, `a` and `b`, for each workload. */
import { start } from '../processes.mjs';

/**
 * What replicas answer, by name of the workload. Bytes are those of the answer's body.
 * A stream's rate is small against what a connection carries, so that events are not merged on their way.
 */
export const WORKLOADS = {
  small: { what: 'bytes=64', answerBytes: 64 },
  kib64: { what: 'bytes=65536', answerBytes: 65_536 },
  mib1: { what: 'bytes=1048576', answerBytes: 1_048_576 },
  events: { what: 'sse=10000x200' },
};

/** Resolves with the ports by workload, `{ small: { a, b }, … }`, the process id and `stop`. */
export async function startStub(program, core) {
  const names = Object.keys(WORKLOADS);
  const args = names.flatMap((name) => ['a', 'b'].map((one) => `${one}:${WORKLOADS[name].what}`));
  const process = start('the stub replica', program, args, { cores: core });
  const [line] = await process.prints(/\{"ports":.*\}/);
  const { ports } = JSON.parse(line);
  const byWorkload = names.map((name, index) => [
    name,
    { a: ports[2 * index], b: ports[2 * index + 1] },
  ]);
  return { ports: Object.fromEntries(byWorkload), pid: process.pid, stop: () => process.stop() };
}
