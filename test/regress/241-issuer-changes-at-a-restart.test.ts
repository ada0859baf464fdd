/** With port 0 the issuer of our tokens was another one after each restart, and every token with it refused. */
import { readFileSync } from 'node:fs';
import path from 'node:path';
import t from 'tap';
import { startDaemon, temporaryDirectory, type TestDaemon } from '../daemon/harness.js';

async function issuerOf(daemon: TestDaemon): Promise<string> {
  const { body } = await daemon.admin('GET', '/oidc/.well-known/oauth-authorization-server');
  return (body as { issuer: string }).issuer;
}

t.test('the first issuer stays', async (t) => {
  const stateDir = temporaryDirectory(t);
  const first = await startDaemon(t, { stateDir });
  const issuer = await issuerOf(first);
  t.equal(issuer, `${first.dataUrl}/oidc`);
  t.equal(readFileSync(path.join(stateDir, 'issuer'), 'utf8'), `${issuer}\n`);
  const made = await first.admin('POST', '/api/2.0/token/create', {});
  const answer = await fetch(`${first.adminUrl}/oidc/v1/token`, {
    method: 'POST',
    body: new URLSearchParams({
      grant_type: 'urn:ietf:params:oauth:grant-type:token-exchange',
      subject_token: (made.body as { token_value: string }).token_value,
      subject_token_type: 'urn:databricks:params:oauth:token-type:personal-access-token',
    }),
  });
  const { access_token: token } = (await answer.json()) as { access_token: string };
  await first.stop();

  const second = await startDaemon(t, { stateDir });
  t.not(second.dataUrl, first.dataUrl, 'the port is another one');
  t.equal(await issuerOf(second), issuer);
  const authorization = `Bearer ${token}`;
  const me = '/api/2.0/preview/scim/v2/Me';
  t.match(await second.admin('GET', me, undefined, { authorization }), { status: 200 });
  await second.stop();

  const flags = { 'data-plane-public-url': 'https://serving.example.org' };
  const third = await startDaemon(t, { stateDir, flags });
  t.equal(await issuerOf(third), 'https://serving.example.org/oidc', 'the configuration says so');
  await third.stop();

  const broken = await startDaemon(t, { stateDir });
  t.equal(await issuerOf(broken), issuer, 'and then nothing any more');
});
