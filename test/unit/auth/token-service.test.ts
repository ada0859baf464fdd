/** The token endpoint's grants and refusals, to the letter of the RFCs and of what the SDKs send. */
import t, { type Test } from 'tap';
import { allows } from '../../../src/auth/authorization-details.js';
import {
  FAILURES_BURST,
  ISSUES_BURST,
  type TokenResponse,
} from '../../../src/auth/token-service.js';
import { createPrincipal } from './identity-kit.js';
import {
  basic,
  CLIENT_1,
  createServiceKit,
  otherSpellings,
  PAT,
  permissionOn,
  SECRET,
} from './service-kit.js';

const CC = { grant_type: 'client_credentials' };
const JWT_BEARER = 'urn:ietf:params:oauth:grant-type:jwt-bearer';
const EXCHANGE = {
  grant_type: 'urn:ietf:params:oauth:grant-type:token-exchange',
  subject_token: PAT,
  subject_token_type: 'urn:databricks:params:oauth:token-type:personal-access-token',
};
const QUERY_M1 = permissionOn('m1', 'query_inference_endpoint');

function refused(
  t: Test,
  answer: TokenResponse,
  status: number,
  error: string,
  name: string,
): void {
  t.match(answer, { status, body: { error } }, name);
  t.match(String(answer.body['error_description']), /^[\x20-\x21\x23-\x5b\x5d-\x7e]+$/);
  t.match(answer.headers, { 'cache-control': 'no-store', pragma: 'no-cache' });
  t.strictSame(Object.keys(answer.body), ['error', 'error_description']);
}

t.test('client credentials by Basic and by form', async (t) => {
  const { ask, verify, issued } = await createServiceKit(t);
  const form = { ...CC, client_id: 'app-1', client_secret: SECRET };
  for (const answer of [
    await ask('grant_type=client_credentials&scope=all-apis', CLIENT_1),
    await ask('scope=all-apis&grant_type=client_credentials', CLIENT_1),
    await ask({ ...CC, client_id: 'app-1' }, CLIENT_1),
    await ask(form),
    await ask(CC, { ...CLIENT_1, contentType: 'Application/X-WWW-Form-urlencoded; charset=UTF-8' }),
    await ask('&&grant_type=client_credentials&scope=&unknown=x&', CLIENT_1),
    await ask(CC, { authorization: CLIENT_1.authorization.replace('Basic', 'basic') }),
  ]) {
    t.match(answer, {
      status: 200,
      headers: { 'cache-control': 'no-store', pragma: 'no-cache' },
      body: { token_type: 'Bearer', expires_in: 3600, scope: 'all-apis' },
    });
    t.strictSame(Object.keys(answer.body), ['access_token', 'token_type', 'expires_in', 'scope']);
    const verified = await verify(answer.body['access_token']);
    t.match(verified, { principal: 'app-1', principalId: '1', authorizationDetails: null });
  }
  const [first] = issued;
  t.strictSame(
    await verify(first?.token),
    first?.verified,
    'what caches are told is what verifying says',
  );
});

t.test('the seed’s request for a route-optimized endpoint', async (t) => {
  const { ask, verify } = await createServiceKit(t);
  const details =
    '[{"type":"workspace_permission","object_type":"serving-endpoints",' +
    '"object_path":"/serving-endpoints/0a1b","actions": ["query_inference_endpoint"]}]';
  const answer = await ask(
    `grant_type=client_credentials&scope=all-apis&authorization_details=${encodeURIComponent(details)}`,
    CLIENT_1,
  );
  t.equal(answer.status, 200);
  t.strictSame(answer.body['authorization_details'], JSON.parse(details));
  const { authorizationDetails: granted } = await verify(answer.body['access_token']);
  t.strictSame(granted, JSON.parse(details));
  const m1 = { id: '0a1b', name: 'm1' };
  t.ok(allows(granted ?? [], m1, 'CAN_QUERY'));
  t.notOk(allows(granted ?? [], m1, 'CAN_MANAGE'));
  for (const other of ['0A1B', '0a1', '0a1b0', 'm1']) {
    t.notOk(allows(granted ?? [], { id: other, name: other }, 'CAN_QUERY'), other);
  }
});

t.test('id and secret are form-encoded inside Basic', async (t) => {
  const { ask, identities } = await createServiceKit(t);
  const id = 'a:b%c+d é';
  const secret = 'ü:%+ "\\';
  identities.add(createPrincipal('9', { applicationId: id }));
  identities.secrets.set(id, secret);
  const encode = (text: string): string => encodeURIComponent(text).replaceAll('%20', '+');
  t.equal((await ask(CC, basic(encode(id), encode(secret)))).status, 200);
  t.equal((await ask({ ...CC, client_id: id, client_secret: secret })).status, 200);
  refused(t, await ask(CC, basic(id, secret)), 401, 'invalid_client', 'not encoded');
});

t.test('who is not authenticated gets one answer', async (t) => {
  const { ask, identities } = await createServiceKit(t);
  const wrong = await ask(CC, basic('app-1', 'wrong'));
  t.equal(wrong.headers['www-authenticate'], 'Basic realm="pointsman"');
  t.strictSame(await ask(CC, basic('nobody', 'wrong')), wrong, 'unknown client and wrong secret');
  const others = [
    await ask(CC),
    await ask(CC, { authorization: 'Bearer abc' }),
    await ask(CC, { authorization: 'Basic' }),
    await ask(CC, { authorization: 'Basic !!!' }),
    await ask(CC, { authorization: 'Basic YXBwLTE' }),
    await ask(CC, { authorization: `${CLIENT_1.authorization}, x` }),
    ...(await Promise.all(
      otherSpellings(CLIENT_1.authorization).map((authorization) => ask(CC, { authorization })),
    )),
    await ask(CC, { authorization: 'Digest x' }),
    await ask(CC, basic('', '')),
    await ask(CC, basic('app-1', '')),
    await ask(CC, basic('app-1', `${SECRET} `)),
    await ask(CC, basic('app-1', '%zz')),
    await ask({ ...CC, client_id: 'app-1' }),
    await ask({ ...CC, client_id: 'x'.repeat(2000), client_secret: 'y' }),
    await ask({ ...CC, client_assertion: 'x', client_assertion_type: 'y' }),
  ];
  for (const [index, answer] of others.entries()) {
    refused(t, answer, 401, 'invalid_client', String(index));
  }
  identities.add({ ...createPrincipal('1'), active: false });
  refused(t, await ask(CC, CLIENT_1), 401, 'invalid_client', 'inactive');
});

t.test('requests that are malformed', async (t) => {
  const { ask } = await createServiceKit(t);
  const faults: [string, string | undefined][] = [
    ['', undefined],
    ['scope=all-apis', undefined],
    ['grant_type=', undefined],
    ['grant_type=client_credentials&grant_type=client_credentials', 'grant_type'],
    ['grant_type=client_credentials&scope=all-apis&scope=all-apis', 'scope'],
    ['grant_type=client_credentials&client_id=a&client_id=a', 'client_id'],
    ['grant_type=client_credentials&sc%6Fpe=all-apis&scope=all-apis', 'scope'],
    ['grant_type=client_credentials&x=1&x=', 'x'],
    ['grant_type=%zz', undefined],
    ['grant_type=%', undefined],
    ['grant_type=client_credentials&scope=%4', undefined],
    ['grant_type=client_credentials&scope=%c0%af', undefined],
    ['grant_type=client_credentials&scope=%ff', undefined],
    ['grant_type=client_credentials&scope=%00', undefined],
    ['grant_type=client_credentials&%00=x', undefined],
    [`grant_type=client_credentials${'&a=b'.repeat(80)}`, undefined],
    ['{"grant_type":"client_credentials"}', undefined],
  ];
  for (const [body, named] of faults) {
    const answer = await ask(body, CLIENT_1);
    refused(t, answer, 400, 'invalid_request', body.slice(0, 60));
    if (named !== undefined) t.match(answer.body['error_description'], named);
  }
  for (const contentType of [
    undefined,
    '',
    'application/json',
    'text/plain',
    'multipart/form-data',
  ]) {
    const answer = await ask(CC, { ...CLIENT_1, contentType });
    refused(t, answer, 400, 'invalid_request', String(contentType));
  }
  const twice = { ...CC, client_id: 'app-1', client_secret: SECRET };
  refused(t, await ask(twice, CLIENT_1), 400, 'invalid_request', 'two methods');
  refused(t, await ask({ ...CC, client_id: 'app-2' }, CLIENT_1), 400, 'invalid_request', 'two ids');
  refused(
    t,
    await ask({ ...CC, client_secret: 'x' }),
    400,
    'invalid_request',
    'a secret of nobody',
  );
  for (const grantType of [
    'password',
    'authorization_code',
    'refresh_token',
    'implicit',
    'CLIENT_CREDENTIALS',
    '__proto__',
  ]) {
    const answer = await ask({ grant_type: grantType }, CLIENT_1);
    refused(t, answer, 400, 'unsupported_grant_type', grantType);
  }
});

t.test('scopes that do not exist', async (t) => {
  const { ask } = await createServiceKit(t);
  t.equal((await ask({ ...CC, scope: 'all-apis all-apis' }, CLIENT_1)).status, 200);
  for (const scope of [
    'admin',
    'all-apis admin',
    'ALL-APIS',
    ' all-apis',
    'all-apis ',
    'all-apis  all-apis',
    'a"b',
    'offline_access',
  ]) {
    refused(t, await ask({ ...CC, scope }, CLIENT_1), 400, 'invalid_scope', scope);
  }
});

function workspaceOf(details: string): Record<string, unknown> {
  return (JSON.parse(details) as [Record<string, unknown>])[0];
}

t.test('authorization details are granted as asked, or refused whole', async (t) => {
  const { ask, identities } = await createServiceKit(t);
  const get = (details: unknown, client = CLIENT_1): Promise<TokenResponse> => {
    const text = typeof details === 'string' ? details : JSON.stringify(details);
    return ask({ ...CC, authorization_details: text }, client);
  };
  const model = { type: 'model', actions: ['infer'], identifier: 'm1' };
  t.strictSame((await get([model])).body['authorization_details'], [
    { type: 'model', identifier: 'm1', actions: ['infer'] },
  ]);
  // As an endpoint may be called.
  for (const name of ['-m', '_m', 'x'.repeat(63)]) {
    identities.levels.set(`1 ${name}`, 'CAN_QUERY');
    t.match(await get([{ ...model, identifier: name }]), { status: 200 }, name);
    const object_path = `/serving-endpoints/${name}`;
    t.match(await get([{ ...workspaceOf(QUERY_M1), object_path }]), { status: 200 }, name);
  }
  const both = { ...model, actions: ['infer', 'manage', 'infer'] };
  const manager = basic('app-2', SECRET.replace('1', '2'));
  t.match(await get([both], manager), {
    status: 200,
    body: { authorization_details: [{ actions: ['infer', 'manage'] }] },
  });
  const workspace = workspaceOf(QUERY_M1);
  for (const details of [
    [both],
    [{ ...model, identifier: 'm2' }],
    [{ ...model, identifier: 'm3' }],
    [model, { ...model, identifier: 'm2' }],
    [{ ...workspace, actions: ['manage_inference_endpoint'] }],
    [{ ...workspace, actions: ['query_inference_endpoint', 'manage_inference_endpoint'] }],
    [{ ...workspace, object_path: '/serving-endpoints/m2' }],
    [{ ...model, identifier: '*' }],
    [{ ...model, identifier: 'M1' }],
    [{ ...model, identifier: 'm1/' }],
    [{ ...model, identifier: '' }],
    [{ ...model, identifier: 'x'.repeat(64) }],
    [{ ...model, identifier: 'm1%2f..' }],
    [{ ...model, identifier: 'm1;x' }],
    [{ ...model, identifier: ' m1' }],
    [{ ...model, identifier: ['m1'] }],
    [{ ...model, identifier: undefined }],
    [{ ...model, type: 'unknown' }],
    [{ ...model, type: ['model'] }],
    [{ ...model, type: '__proto__' }],
    [{ ...model, type: undefined }],
    [{ ...model, actions: [] }],
    [{ ...model, actions: 'infer' }],
    [{ ...model, actions: ['infer', 'delete'] }],
    [{ ...model, actions: [['infer']] }],
    [{ ...model, actions: undefined }],
    [{ ...model, locations: ['https://x'] }],
    [{ ...model, privileges: 'admin' }],
    [{ ...workspace, object_type: 'clusters' }],
    [{ ...workspace, object_type: undefined }],
    [{ ...workspace, object_path: 'm1' }],
    [{ ...workspace, object_path: '/serving-endpoints/' }],
    [{ ...workspace, object_path: '/serving-endpoints/../serving-endpoints/m1' }],
    [{ ...workspace, object_path: '/serving-endpoints/m1/' }],
    [{ ...workspace, identifier: 'm1' }],
    [],
    {},
    model,
    'x',
    '',
    null,
    [null],
    [[model]],
    ['model'],
    Array(17).fill(model),
    '[{"type":"model","type":"model","identifier":"m1","actions":["infer"]}]',
    `[${' '.repeat(9000)}]`,
    `${'['.repeat(5000)}${']'.repeat(5000)}`,
  ]) {
    const answer = await get(details);
    if (details === '') t.match(answer, { status: 200 }, 'empty is as if it were not there');
    else
      refused(
        t,
        answer,
        400,
        'invalid_authorization_details',
        JSON.stringify(details).slice(0, 80),
      );
  }
  for (const [count, limit] of [
    [17, /at most 16 entries/],
    [500, /longer than 8192 letters/],
  ] as const) {
    const answer = await get(Array(count).fill(model));
    t.match(answer.body, { error: 'invalid_authorization_details', error_description: limit });
  }
  const missing = await get([{ ...model, identifier: 'no-such-endpoint' }]);
  t.strictSame(missing, await get([{ ...model, identifier: 'm2' }]), 'says nothing of what exists');
  identities.levels.delete('1 m1');
  refused(t, await get([model]), 400, 'invalid_authorization_details', 'permission gone');
});

t.test(
  'a data-plane token for a control-plane token, with the bytes of the Python SDK',
  async (t) => {
    const { ask, verify } = await createServiceKit(t);
    const control = String((await ask(CC, CLIENT_1)).body['access_token']);
    const details =
      '%5B%7B%22type%22%3A%22workspace_permission%22%2C%22object_type%22%3A%22serving-endpoints%22%2C' +
      '%22object_path%22%3A%22%2Fserving-endpoints%2F0a1b%22%2C%22actions%22%3A%5B%22query_inference_endpoint%22%5D%7D%5D';
    const body =
      'grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Ajwt-bearer' +
      `&authorization_details=${details}&assertion=${control}`;
    const answer = await ask(body);
    t.match(answer, { status: 200, body: { token_type: 'Bearer', expires_in: 3600 } });
    const data = String(answer.body['access_token']);
    t.match(await verify(data), {
      principal: 'app-1',
      authorizationDetails: [{ object_path: '/serving-endpoints/0a1b' }],
    });
    t.match(
      await ask(body, { authorization: `Bearer ${control}` }),
      { status: 200 },
      'as Go sends it',
    );
    const form = { grant_type: JWT_BEARER, authorization_details: QUERY_M1 };
    refused(t, await ask({ ...form, assertion: data }), 400, 'invalid_grant', 'a limited token');
    refused(t, await ask(form), 400, 'invalid_request', 'no assertion');
    refused(
      t,
      await ask({ grant_type: JWT_BEARER, assertion: control }),
      400,
      'invalid_request',
      'not limited',
    );
    const manage = permissionOn('m1', 'manage_inference_endpoint');
    const more = await ask({ ...form, authorization_details: manage, assertion: control });
    refused(t, more, 400, 'invalid_authorization_details', 'more than the principal may');
    t.match(more.body['error_description'], 'not authorized');
  },
);

t.test('assertions that are no good', async (t) => {
  const { ask, clock, identities } = await createServiceKit(t);
  const control = String((await ask(CC, CLIENT_1)).body['access_token']);
  const form = { grant_type: JWT_BEARER, authorization_details: QUERY_M1 };
  for (const assertion of [
    'x',
    'a.b.c',
    `${control}A`,
    `${control} `,
    control.slice(0, -10),
    PAT,
  ]) {
    refused(t, await ask({ ...form, assertion }), 400, 'invalid_grant', assertion.slice(0, 10));
  }
  const other = basic('app-2', SECRET.replace('1', '2'));
  refused(t, await ask({ ...form, assertion: control }, other), 400, 'invalid_grant', 'of another');
  refused(
    t,
    await ask({ ...form, assertion: control }, basic('app-1', 'wrong')),
    401,
    'invalid_client',
    'wrong credentials beside a good assertion',
  );
  t.match(await ask({ ...form, assertion: control }, CLIENT_1), { status: 200 });
  identities.principals.delete('1');
  identities.add(createPrincipal('11', { applicationId: 'app-1', name: 'sp-1' }));
  refused(
    t,
    await ask({ ...form, assertion: control }),
    400,
    'invalid_grant',
    'a new one of that name',
  );
  identities.add(createPrincipal('1'));
  t.match(await ask({ ...form, assertion: control }), { status: 200 });
  clock.advance(3_600_000);
  refused(t, await ask({ ...form, assertion: control }), 400, 'invalid_grant', 'expired');
});

t.test('a verifier that is busy is said to be so', async (t) => {
  const { ask, pool } = await createServiceKit(t);
  const assertion = String((await ask(CC, CLIENT_1)).body['access_token']);
  await pool.close();
  const form = { grant_type: JWT_BEARER, authorization_details: QUERY_M1, assertion };
  const answer = await ask(form);
  refused(t, answer, 503, 'temporarily_unavailable', 'busy');
  t.equal(answer.headers['retry-after'], '1');
});

t.test('a personal access token for an OAuth token', async (t) => {
  const { ask, verify, identities } = await createServiceKit(t);
  const answer = await ask({ ...EXCHANGE, scope: 'all-apis' });
  t.match(answer, {
    status: 200,
    body: { issued_token_type: 'urn:ietf:params:oauth:token-type:access_token', expires_in: 3600 },
  });
  const token = String(answer.body['access_token']);
  t.match(await verify(token), { principal: 'mia@example.org', credentialId: 'pat-of-3' });
  const limited = await ask({ ...EXCHANGE, authorization_details: QUERY_M1 });
  t.match(await verify(limited.body['access_token']), { authorizationDetails: [{}] });
  const passedOn = await ask({
    grant_type: JWT_BEARER,
    assertion: token,
    authorization_details: QUERY_M1,
  });
  t.match(
    await verify(passedOn.body['access_token']),
    { credentialId: 'pat-of-3' },
    'kept on the way',
  );
  for (const [changes, error] of [
    [{ subject_token: 'wrong' }, 'invalid_grant'],
    [{ subject_token: token }, 'invalid_grant'],
    [{ subject_token: '' }, 'invalid_request'],
    [{ subject_token_type: 'urn:ietf:params:oauth:token-type:jwt' }, 'invalid_request'],
    [{ subject_token_type: '' }, 'invalid_request'],
    [{ requested_token_type: 'urn:ietf:params:oauth:token-type:refresh_token' }, 'invalid_request'],
    [{ actor_token: 'x' }, 'invalid_request'],
    [{ scope: 'admin' }, 'invalid_scope'],
    [
      { authorization_details: permissionOn('m2', 'query_inference_endpoint') },
      'invalid_authorization_details',
    ],
  ] as const) {
    refused(t, await ask({ ...EXCHANGE, ...changes }), 400, error, JSON.stringify(changes));
  }
  refused(t, await ask(EXCHANGE, CLIENT_1), 400, 'invalid_grant', 'of another');
  identities.add({ ...createPrincipal('3'), active: false });
  refused(t, await ask(EXCHANGE), 400, 'invalid_grant', 'inactive');
});

t.test('guessing is slowed down and hurts nobody else', async (t) => {
  const { ask, clock } = await createServiceKit(t);
  const statuses: number[] = [];
  for (let index = 0; index < 10_000; index += 1) {
    statuses.push((await ask(CC, basic(`app-${String(index % 7)}`, 'wrong'))).status);
  }
  t.equal(statuses.filter((status) => status === 401).length, FAILURES_BURST);
  const last = await ask(CC, basic('app-1', 'wrong'));
  t.match(last, { status: 429, body: { error: 'temporarily_unavailable' } });
  t.match(last.headers['retry-after'], /^[1-9]$/);
  t.equal((await ask(CC, CLIENT_1)).status, 200, 'the right secret from the same address');
  t.equal((await ask(CC, { ...basic('app-1', 'x'), address: '127.0.0.2' })).status, 401, 'others');
  clock.advance(1000);
  t.equal((await ask(CC, basic('app-1', 'wrong'))).status, 401, 'a second later');
});

t.test('one principal gets no more than its share of tokens', async (t) => {
  const { ask, clock } = await createServiceKit(t);
  for (let index = 0; index < ISSUES_BURST; index += 1) await ask(CC, CLIENT_1);
  const answer = await ask(CC, CLIENT_1);
  refused(t, answer, 429, 'temporarily_unavailable', 'used up');
  t.equal(answer.headers['retry-after'], '1');
  t.equal((await ask(CC, basic('app-2', SECRET.replace('1', '2')))).status, 200, 'another one');
  clock.advance(1000);
  t.equal((await ask(CC, CLIENT_1)).status, 200);
});

t.test('rotation: old tokens stay good, a revoking one ends them', async (t) => {
  const { ask, keys, clock, verify } = await createServiceKit(t);
  const token = async (): Promise<unknown> => (await ask(CC, CLIENT_1)).body['access_token'];
  const old = await token();
  await keys.rotate({ revoke: false });
  clock.advance(60_000);
  const fresh = await token();
  await verify(old);
  await verify(fresh);
  await keys.rotate({ revoke: true });
  await t.rejects(verify(old), /unknown key/);
  await t.rejects(verify(fresh), /unknown key/);
  await verify(await token());
});
