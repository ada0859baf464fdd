/**
 * The host of a route-optimized endpoint, with a dot at its end or a label before it, was taken for any other host, and
 * took credentials that it must not take; in capitals it was nobody's.
 */
import t from 'tap';
import { deploymentsOf, endpointOf, startDaemon, startNamedReplica } from '../daemon/harness.js';
import { WireClient } from '../daemon/wire.js';

const MODES: Readonly<Record<string, Record<string, string>>> = {
  native: {},
  guarded: { 'data-plane-fast-path': 'false' },
  js: { 'data-plane-guard': 'off' },
};
const BODY = '{"inputs":[1]}';

for (const [mode, flags] of Object.entries(MODES)) {
  t.test(mode, async (t) => {
    const daemon = await startDaemon(t, {
      flags: { ...flags, 'data-plane-workers': '1', 'data-plane-serving-domain': 'serving.test' },
    });
    const replica = await startNamedReplica(t, 'a');
    await daemon.admin('PATCH', '/api/2.0/pointsman/manifest', {
      deployments: deploymentsOf({ a: replica.url }),
      endpoints: [Object.assign({ route_optimized: true }, endpointOf('fast', { a: 100 }))],
    });
    const { id } = (await daemon.settled('fast')) as { id: string };
    const client = new WireClient(t, daemon.dataPort);
    const statusOf = async (host: string): Promise<number> => {
      const head = [
        'POST /serving-endpoints/fast/invocations HTTP/1.1',
        `Host: ${host}`,
        `Authorization: Bearer ${daemon.queryToken}`,
        `Content-Length: ${String(BODY.length)}`,
      ];
      client.send(`${head.join('\r\n')}\r\n\r\n${BODY}`);
      return (await client.answer()).status;
    };
    for (const host of [
      `${id}.serving.test`,
      `${id}.serving.test.`,
      `${id}.serving.test.:8080`,
      `${id.toUpperCase()}.Serving.TEST`,
    ]) {
      t.equal(await statusOf(host), 403, host);
    }
    for (const host of [`x.${id}.serving.test`, `${id}x.serving.test`, 'fast.serving.test']) {
      t.equal(await statusOf(host), 404, host);
    }
    for (const host of ['serving.test', `${id}.serving.test.example.org`, `${id}xserving.test`]) {
      t.equal(await statusOf(host), 200, host);
    }
  });
}
