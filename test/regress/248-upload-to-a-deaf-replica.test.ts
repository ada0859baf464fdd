/**
 * A replica that took the first pieces of an upload whole and then nothing was waited for without a time: while all that had
 * come was passed on, no time ran, and a piece of which nothing was taken did not begin one. A Unix socket takes a piece
 * whole or not at all, so there it was every such upload.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import t from 'tap';
import { serve } from '../daemon/crowd.js';
import { post, WireClient } from '../daemon/wire.js';

const RESPONSE_HEADER_MS = 500;
const ANSWERED_MS_MAX = 3_000;
/** More than the socket takes, and less than makes the client wait. */
const SENT_BYTES = 320 * 1024;
const PIECE_BYTES = 8 * 1024;
const PIECE_MS = 3;
const BODY_BYTES = 2 * 1024 * 1024;

t.test('the time of the replica runs', async (t) => {
  const directory = mkdtempSync(path.join(tmpdir(), 'pm-'));
  const socketPath = path.join(directory, 'r.sock');
  const server = createServer({ pauseOnConnect: true });
  await new Promise<void>((resolve) => server.listen(socketPath, resolve));
  t.teardown(() => {
    server.close();
    rmSync(directory, { recursive: true });
  });
  const daemon = await serve(t, {
    urls: [`unix:${socketPath}`],
    health: { type: 'tcp', interval_ms: 60_000 },
    timeouts: { response_header_ms: RESPONSE_HEADER_MS },
    flags: { 'data-plane-max-request-bytes': String(2 * BODY_BYTES) },
  });
  const client = new WireClient(t, daemon.dataPort);
  const sentAt = performance.now();
  const request = post(daemon, '/serving-endpoints/s/invocations', 'x'.repeat(BODY_BYTES));
  // Each piece comes when the one before has been passed on.
  for (let at = 0; at < SENT_BYTES; at += PIECE_BYTES) {
    client.send(request.slice(at, at + PIECE_BYTES));
    await pause(PIECE_MS);
  }
  const late = setTimeout(() => {
    client.socket.destroy();
  }, ANSWERED_MS_MAX);
  const answer = await client.answer().catch(() => null);
  clearTimeout(late);
  t.equal(answer?.status, 504, `after ${String(Math.round(performance.now() - sentAt))} ms`);
});
