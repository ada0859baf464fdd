/**
 * `pointsman apply --replace` that had nothing to delete when it looked sent its manifest without If-Match: what somebody
 * made in between was deleted without having been shown.
 */
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import t from 'tap';
import { MIA } from '../unit/control/harness.js';
import { irisManifest, run, startDaemon, TOKEN } from '../unit/cli/harness.js';

t.test('what was made since it looked stays', async (t) => {
  const daemon = await startDaemon(t);
  const input = JSON.stringify(irisManifest(daemon.replica.url));
  const server = createServer((request, response) => {
    const relay = async (): Promise<void> => {
      const parts: Buffer[] = [];
      for await (const part of request) parts.push(part as Buffer);
      const method = String(request.method);
      const url = String(request.url);
      if (method === 'PUT' && !url.includes('dry_run')) {
        await daemon.control.createEndpoint({ name: 'made-since' }, MIA);
      }
      const { authorization = '', 'if-match': ifMatch } = request.headers;
      const answer = await fetch(daemon.url + url, {
        method,
        headers: {
          authorization,
          'content-type': 'application/json',
          ...(ifMatch === undefined ? {} : { 'if-match': ifMatch }),
        },
        ...(method === 'GET' ? {} : { body: Buffer.concat(parts) }),
      });
      response.writeHead(answer.status, { etag: answer.headers.get('etag') ?? '' });
      response.end(await answer.text());
    };
    void relay();
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.teardown(() => server.close());
  const url = `http://127.0.0.1:${String((server.address() as AddressInfo).port)}`;
  const argv = ['apply', '-f', '-', '--replace', '--host', url, '--token', TOKEN];
  const result = await run(argv, { input });
  t.equal(result.code, 1);
  t.match(result.err, /has changed since it was read/);
  t.same(
    daemon.control.listEndpoints().map(({ name }) => name),
    ['made-since'],
  );
});
