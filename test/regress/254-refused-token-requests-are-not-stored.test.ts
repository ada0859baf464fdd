/** What a worker refused at the token endpoint by itself lacked the fields that keep answers out of caches (RFC 6749, 5.1). */
import t from 'tap';
import { startDaemon } from '../daemon/harness.js';

const TOO_LARGE = `grant_type=client_credentials&x=${'y'.repeat(70_000)}`;

t.test('no answer of the token endpoint is for a cache', async (t) => {
  const daemon = await startDaemon(t, { flags: { 'data-plane-workers': '1' } });
  const url = `${daemon.dataUrl}/oidc/v1/token`;
  const ask = async (status: number, init: RequestInit): Promise<void> => {
    const { headers, ...answer } = await fetch(url, init).then(async (response) => {
      await response.arrayBuffer();
      return { status: response.status, headers: response.headers };
    });
    t.equal(answer.status, status);
    t.equal(headers.get('cache-control'), 'no-store', String(status));
    t.equal(headers.get('pragma'), 'no-cache', String(status));
  };
  const body = new URLSearchParams({ grant_type: 'client_credentials' });
  await ask(405, {});
  await ask(413, { method: 'POST', body: TOO_LARGE });
  await ask(401, { method: 'POST', body });
  await daemon.stop('SIGKILL');
  await ask(503, { method: 'POST', body });
});
