/**
 * Changer of bench/changes.mjs: calls the admin port at a fixed pace, in a process of its own, so that what a change
 * costs its sender is not charged to the load. Bytes are made beforehand and answers are only looked at: one call
 * costs this process well below 0.2 ms.
 *
 * Messages from the parent: {start: {port, requests: [text], perSecond, seconds}} -> {durations} in µs, sorted, and
 * {failures}. `requests` are sent in turn, from the first.
 */
import net from 'node:net';

process.on('message', ({ start }) => {
  void run(start).then((result) => process.send(result));
});
process.once('disconnect', () => process.exit(0));

async function run({ port, requests, perSecond, seconds }) {
  const bytes = requests.map((text) => Buffer.from(text));
  const durations = [];
  let failures = 0;
  if (bytes.length === 0) {
    await new Promise((resolve) => setTimeout(resolve, seconds * 1_000));
    return { durations, failures };
  }
  const socket = net.connect(port, '127.0.0.1');
  socket.setNoDelay(true);
  await new Promise((resolve, reject) => socket.once('connect', resolve).once('error', reject));
  const startedAt = performance.now();
  const total = Math.floor(perSecond * seconds);
  for (let count = 0; count < total; count += 1) {
    const dueAt = startedAt + (count * 1_000) / perSecond;
    const wait = dueAt - performance.now();
    if (wait > 0) await new Promise((resolve) => setTimeout(resolve, wait));
    const sentAt = performance.now();
    const ok = await ask(socket, bytes[count % bytes.length]);
    durations.push((performance.now() - sentAt) * 1_000);
    if (!ok) failures += 1;
  }
  socket.destroy();
  return { durations: durations.sort((a, b) => a - b), failures };
}

function ask(socket, request) {
  return new Promise((resolve) => {
    let text = '';
    const onData = (chunk) => {
      text += chunk.toString('latin1');
      const headEnd = text.indexOf('\r\n\r\n');
      if (headEnd < 0) return;
      const length = Number(/content-length: (\d+)/i.exec(text)?.[1] ?? 0);
      if (text.length < headEnd + 4 + length) return;
      socket.off('data', onData);
      resolve(text.startsWith('HTTP/1.1 200'));
    };
    socket.on('data', onData);
    socket.write(request);
  });
}
