/**
 * Load of bench/changes.mjs: an open loop of invocations, and the replica that answers them, in one process.
 *
 * Requests are due at fixed times whatever the daemon does, and a latency counts from the moment that a request was
 * due: a daemon that stands still for 2 ms is charged for every request that was due in these 2 ms. The loop spins,
 * so give it a core. The replica lives here so that nothing else has to be scheduled between question and answer.
 *
 * Messages from the parent: {start: {host, port, path, bearer, connections, rate, seconds}} -> {latencies} in µs,
 * sorted, and {failures}. First message to the parent: {replica: port}.
 */
import net from 'node:net';

const ANSWER = Buffer.from(
  'HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 19\r\n\r\n{"predictions":[1]}',
);
const END_OF_BODY = Buffer.from('}');
const BODY = '{"inputs":[1]}';
/** An answer that is not there after the last one was due by then counts as failed. */
const PATIENCE_MS = 3_000;

const replica = net.createServer((socket) => {
  socket.setNoDelay(true);
  socket.on('error', () => undefined);
  // Requests of this load come one at a time and end in a brace, those of probes are not looked at.
  socket.on('data', (chunk) => {
    if (chunk.includes(END_OF_BODY)) socket.write(ANSWER);
  });
});
replica.listen(0, '127.0.0.1', () => process.send({ replica: replica.address().port }));
process.on('message', ({ start }) => {
  void run(start).then((result) => process.send(result));
});
process.once('disconnect', () => process.exit(0));

async function run({ host, port, path, bearer, connections, rate, seconds }) {
  const request = Buffer.from(
    `POST ${path} HTTP/1.1\r\nhost: ${host}\r\nauthorization: Bearer ${bearer}\r\n` +
      `content-type: application/json\r\ncontent-length: ${BODY.length}\r\n\r\n${BODY}`,
  );
  const total = Math.floor(rate * seconds);
  const latencies = new Float64Array(total);
  const clients = await Promise.all(
    Array.from({ length: connections }, () => new Client(host, port, request).ready),
  );
  const idle = [...clients];
  const state = { answered: 0, failures: 0 };
  const startedAt = performance.now();
  const endsAt = startedAt + seconds * 1_000 + PATIENCE_MS;
  let sent = 0;
  for (;;) {
    const now = performance.now();
    while (sent < total && idle.length > 0) {
      const dueAt = startedAt + (sent * 1_000) / rate;
      if (dueAt > now) break;
      sent += 1;
      const client = idle.shift();
      client.ask((ok) => {
        latencies[state.answered] = (performance.now() - dueAt) * 1_000;
        state.answered += 1;
        if (!ok) state.failures += 1;
        idle.push(client);
      });
    }
    if (state.answered === total || now > endsAt) break;
    await new Promise(setImmediate);
  }
  for (const client of clients) client.end();
  return {
    latencies: Array.from(latencies.subarray(0, state.answered).sort()),
    failures: state.failures + total - state.answered,
  };
}

class Client {
  #socket;
  #request;
  #onAnswer = () => undefined;
  #text = '';

  constructor(host, port, request) {
    this.#request = request;
    this.#socket = net.connect(port, host);
    this.#socket.setNoDelay(true);
    this.#socket.on('data', (chunk) => this.#take(chunk));
    this.ready = new Promise((resolve, reject) => {
      this.#socket.once('connect', () => resolve(this));
      this.#socket.once('error', reject);
    });
  }

  ask(onAnswer) {
    this.#onAnswer = onAnswer;
    this.#socket.write(this.#request);
  }

  end() {
    this.#socket.destroy();
  }

  #take(chunk) {
    this.#text += chunk.toString('latin1');
    const headEnd = this.#text.indexOf('\r\n\r\n');
    if (headEnd < 0) return;
    const length = Number(/content-length: (\d+)/i.exec(this.#text)?.[1] ?? 0);
    if (this.#text.length < headEnd + 4 + length) return;
    const ok = this.#text.startsWith('HTTP/1.1 200');
    this.#text = '';
    this.#onAnswer(ok);
  }
}
