/**
 * `pointsman check` refused every manifest with an access control list, built-in groups included,
 * because it looked principals up in a directory of nobody.
 */
import { join } from 'node:path';
import t from 'tap';
import { irisManifest, run } from '../unit/cli/harness.js';

function withList(list: readonly object[]): string {
  const manifest = irisManifest('http://127.0.0.1:9') as { endpoints: object[] };
  const endpoints = manifest.endpoints.map((one) => ({ ...one, access_control_list: list }));
  return JSON.stringify({ ...manifest, endpoints });
}

t.test('built-in principals are known, others are named as not checked', async (t) => {
  const folder = t.testdir({ 'pointsman.yaml': '{}' });
  const check = (list: readonly object[]): ReturnType<typeof run> =>
    run(['check', '--config', join(folder, 'pointsman.yaml'), '-f', '-'], {
      input: withList(list),
    });
  const level = { permission_level: 'CAN_QUERY' };

  const builtIn = await check([{ group_name: 'users', ...level }]);
  t.equal(builtIn.code, 0, builtIn.err);
  t.notMatch(builtIn.out, /Not checked/);

  const others = await check([
    { group_name: 'Risk', ...level },
    { user_name: 'mia@x', ...level },
    { service_principal_name: 'ci', ...level },
    { user_name: 'admin', ...level },
  ]);
  t.equal(others.code, 0, others.err);
  t.match(others.out, /\nNot checked, .*: group:Risk, user:mia@x, service-principal:ci\.$/);

  const twice = await check([
    { user_name: 'mia@x', ...level },
    { user_name: 'Mia@x', ...level },
  ]);
  t.match(twice.err, /access_control_list\[1\]: names a principal again/);
  t.match((await check([{ user_name: 'query', ...level }])).err, /the query token always has/);
});
