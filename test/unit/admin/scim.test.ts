/** Users, service principals, groups and Me over HTTP, in the forms that clients send. */
import t, { type Test } from 'tap';
import { call, QUERY, startAdmin, type Harness } from './harness.js';

const SCIM = '/api/2.0/preview/scim/v2';

interface Resource extends Record<string, unknown> {
  readonly id: string;
}

async function send(
  admin: Harness,
  method: string,
  path: string,
  body?: unknown,
): Promise<{ status: number; json: Resource; text: string }> {
  const answer = await call(admin, method, SCIM + path, {
    headers: { 'content-type': 'application/scim+json' },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  return { ...answer, json: answer.json as Resource };
}

async function idOf(t: Test, admin: Harness, plural: string, body: object): Promise<string> {
  const { status, json, text } = await send(admin, 'POST', `/${plural}`, body);
  t.equal(status, 200, text);
  return json.id;
}

function resources(answer: { json: Resource }): Resource[] {
  return answer.json['Resources'] as Resource[];
}

t.test('a user: create, get, replace, patch, list, delete', async (t) => {
  const admin = await startAdmin(t);
  const id = await idOf(t, admin, 'Users', {
    schemas: ['urn:ietf:params:scim:schemas:core:2.0:User'],
    userName: 'mia@example.org',
    displayName: 'Mia',
    name: { givenName: 'Mia', familyName: 'M' },
    entitlements: [{ value: 'create-endpoints' }, { value: 'create-endpoints' }],
    groups: [{ value: '3' }],
  });
  const mia = {
    schemas: ['urn:ietf:params:scim:schemas:core:2.0:User'],
    id,
    userName: 'mia@example.org',
    displayName: 'Mia',
    name: { givenName: 'Mia', familyName: 'M' },
    emails: [{ type: 'work', value: 'mia@example.org', primary: true }],
    active: true,
    groups: [{ value: '3', display: 'admins', $ref: 'Groups/3', type: 'direct' }],
    entitlements: [{ value: 'create-endpoints' }],
    roles: [],
  };
  t.strictSame((await send(admin, 'GET', `/Users/${id}`)).json, mia);
  const twice = await send(admin, 'POST', '/Users', { userName: 'MIA@example.org' });
  t.equal(twice.status, 409);
  t.match(twice.json, { error_code: 'RESOURCE_ALREADY_EXISTS' });

  const put = await send(admin, 'PUT', `/Users/${id}`, { ...mia, active: false, groups: [] });
  t.strictSame(put.json, { ...mia, active: false }, 'memberships are those of the groups');
  const renamed = await send(admin, 'PUT', `/Users/${id}`, { ...mia, userName: 'other' });
  t.match(renamed.json, { message: 'userName: cannot change' });

  const patched = await send(admin, 'PATCH', `/Users/${id}`, {
    schemas: ['urn:ietf:params:scim:api:messages:2.0:PatchOp'],
    Operations: [
      // As Microsoft Entra ID writes it.
      { op: 'Replace', path: 'active', value: 'True' },
      { op: 'replace', value: { displayName: 'M.' } },
      { op: 'replace', path: 'name.givenName', value: 'Maria' },
      { op: 'add', path: 'entitlements', value: [{ value: 'workspace-access' }] },
      { op: 'remove', path: 'entitlements[value eq "create-endpoints"]' },
    ],
  });
  t.match(patched.json, {
    active: true,
    displayName: 'M.',
    name: { givenName: 'Maria', familyName: 'M' },
    entitlements: [{ value: 'workspace-access' }],
  });
  const empty = await call(admin, 'PATCH', `${SCIM}/Users/${id}`, {
    headers: { 'content-type': 'application/json' },
  });
  t.equal(empty.status, 200, 'one SDK sends no body');
  t.strictSame(empty.json, patched.json);

  const inAnyCase = { operations: [{ OP: 'replace', Path: 'Active', VALUE: false }] };
  const left = await send(admin, 'PATCH', `/Users/${id}`, inAnyCase);
  t.strictSame(left.json, { ...patched.json, active: false });
  const parts = { oPERATIONS: [{ op: 'replace', path: 'Name.GivenName', value: 'Mary' }] };
  t.match((await send(admin, 'PATCH', `/Users/${id}`, parts)).json, {
    name: { givenName: 'Mary', familyName: 'M' },
  });
  t.match(
    (await send(admin, 'PUT', `/Users/${id}`, { ...mia, active: undefined, Active: true })).json,
    {
      active: true,
    },
  );

  t.strictSame((await send(admin, 'DELETE', `/Users/${id}`)).json, {});
  t.equal((await send(admin, 'GET', `/Users/${id}`)).status, 404);
  t.equal((await send(admin, 'DELETE', `/Users/${id}`)).status, 404);
});

t.test('service principals get an application id; groups change members by PATCH', async (t) => {
  const admin = await startAdmin(t);
  const made = await send(admin, 'POST', '/ServicePrincipals', { displayName: 'ci', active: true });
  t.match(made.json['applicationId'], /^[0-9a-f-]{36}$/);
  const { id } = made.json;
  t.equal((await send(admin, 'GET', `/Users/${id}`)).status, 404, 'no user');
  const own = '01234567-89ab-cdef-0123-456789abcdef';
  const given = await send(admin, 'POST', '/ServicePrincipals', { applicationId: own });
  t.equal(given.json['applicationId'], own);
  t.equal((await send(admin, 'POST', '/ServicePrincipals', { applicationId: 'x' })).status, 400);

  const group = await idOf(t, admin, 'Groups', {
    displayName: 'team',
    members: [{ value: id }],
    entitlements: [{ value: 'create-endpoints' }],
  });
  const members = async () => (await send(admin, 'GET', `/Groups/${group}`)).json['members'];
  t.strictSame(await members(), [{ value: id, display: 'ci', $ref: `ServicePrincipals/${id}` }]);
  const patch = (op: object) => send(admin, 'PATCH', `/Groups/${group}`, { Operations: [op] });
  const other = given.json.id;
  t.equal((await patch({ op: 'add', path: 'members', value: [{ value: other }] })).status, 200);
  t.match(await members(), [{ value: id }, { value: other }]);
  t.equal((await patch({ op: 'add', value: { members: [{ value: other }] } })).status, 200);
  t.equal((await patch({ op: 'remove', path: `members[value eq "${id}"]` })).status, 200);
  t.match(await members(), [{ value: other }]);
  t.equal((await patch({ op: 'remove', path: 'members', value: [{ value: other }] })).status, 200);
  t.strictSame(await members(), []);
  t.match((await send(admin, 'GET', `/Groups/${group}`)).json['entitlements'], [
    { value: 'create-endpoints' },
  ]);
  t.match((await patch({ op: 'replace', path: 'displayName', value: 'crew' })).json, {
    displayName: 'crew',
  });
  await send(admin, 'PUT', `/Groups/${group}`, { displayName: 'crew', members: [{ value: id }] });
  await send(admin, 'DELETE', `/ServicePrincipals/${id}`);
  t.strictSame(await members(), [], 'who is deleted is a member no more');
});

t.test('lists: filter, pages, order, attributes', async (t) => {
  const admin = await startAdmin(t);
  for (const name of ['carol', 'alice', 'bob']) {
    await idOf(t, admin, 'Users', { userName: `${name}@example.org`, displayName: name });
  }
  const list = async (query: string) => {
    const answer = await send(admin, 'GET', `/Users?${query}`);
    return answer.status === 200
      ? resources(answer).map((user) => user['userName'])
      : answer.json['message'];
  };
  const names = (...short: string[]) => short.map((name) => `${name}@example.org`);
  t.strictSame(await list(''), ['admin', 'query', ...names('carol', 'alice', 'bob')]);
  const filter = (text: string) => list(`filter=${encodeURIComponent(text)}`);
  t.strictSame(await filter('userName eq "ALICE@example.org"'), names('alice'));
  t.strictSame(await filter('displayName co "o" and userName sw "c"'), names('carol'));
  t.strictSame(
    await filter('displayName eq "bob" or displayName eq "alice"'),
    names('alice', 'bob'),
  );
  t.strictSame(await filter('emails.value ew ".org" and userName ne "bob@example.org"'), [
    ...names('carol', 'alice'),
  ]);
  t.strictSame(await filter('externalId pr'), []);
  t.strictSame(await filter('active eq false'), []);
  t.strictSame(await filter('groups.display eq "admins"'), ['admin']);
  for (const bad of [
    'userName',
    'userName eq',
    'userName is "x"',
    'a eq "x" b',
    'a eq "x" and',
    '"',
  ]) {
    t.match(await filter(bad), /^filter: /, bad);
  }
  t.match(await filter(`userName eq "${'x'.repeat(2_000)}"`), /^filter: takes at most/);
  t.strictSame(await list('sortBy=userName&sortOrder=descending&count=2'), [
    'query',
    ...names('carol'),
  ]);
  t.strictSame(await list('sortBy=userName&startIndex=5'), ['query']);
  t.strictSame(await list('startIndex=99'), []);
  t.match(await list('count=x'), /^count: /);

  const page = await send(admin, 'GET', '/Users?startIndex=2&count=2&attributes=userName');
  t.match(page.json, { totalResults: 5, startIndex: 2, itemsPerPage: 2 });
  t.strictSame(Object.keys(resources(page)[0] ?? {}), ['schemas', 'id', 'userName']);
  const less = await send(admin, 'GET', '/Groups/3?excludedAttributes=members,entitlements');
  t.strictSame(Object.keys(less.json), ['schemas', 'id', 'displayName', 'meta', 'groups', 'roles']);
});

t.test('what cannot be read is refused, with the attribute', async (t) => {
  const admin = await startAdmin(t);
  const refused: readonly (readonly [string, string, unknown, RegExp])[] = [
    ['POST', '/Users', {}, /^userName: missing/],
    ['POST', '/Users', { userName: '' }, /^userName: /],
    ['POST', '/Users', { userName: 'a\nb' }, /^userName: .*control/],
    ['POST', '/Users', { userName: ' a' }, /^userName: .*space/],
    ['POST', '/Users', { userName: 'x'.repeat(300) }, /^userName: takes at most/],
    ['POST', '/Users', { userName: 'a', active: 'yes' }, /^active: /],
    ['POST', '/Users', { userName: 'a', groups: [{ value: '4' }] }, /^groups: /],
    ['POST', '/Users', { userName: 'a', entitlements: ['x'] }, /^entitlements\[0\]: /],
    ['POST', '/Users', [], /^body: /],
    ['POST', '/Groups', { displayName: 'g', members: [{ value: '99' }] }, /^members: /],
    ['POST', '/Groups', {}, /^displayName: missing/],
    ['POST', '/Users', { userName: 'a', username: 'b' }, /^username: sent more than once/],
    ['PATCH', '/Users/1', {}, /^Operations: missing/],
    ['PATCH', '/Users/1', { active: false }, /^Operations: missing/],
    ['PATCH', '/Users/1', { Operations: null }, /^Operations: missing/],
    ['PATCH', '/Users/1', { Operations: [{ op: 'move' }] }, /^Operations\[0\]\.op: /],
    ['PATCH', '/Users/1', { Operations: [{ op: 'add', path: 'id', value: 'x' }] }, /path: "id"/],
    ['PATCH', '/Users/1', { Operations: [{ op: 'add', path: 'active' }] }, /value: missing/],
    [
      'PATCH',
      '/Users/1',
      { Operations: [{ op: 'replace', path: 'active', value: 'no' }] },
      /^active: must be true or false/,
    ],
    ['PATCH', '/Users/1', { Operations: [{ op: 'add', value: 'x' }] }, /value: must be an object/],
    [
      'PATCH',
      '/Users/1',
      { Operations: [{ op: 'replace', path: 'active', value: false }] },
      /stays/,
    ],
    ['PATCH', '/Groups/3', { Operations: [{ op: 'remove', path: 'members' }] }, /stays an admin/],
    ['PATCH', '/Groups/4', { Operations: [{ op: 'remove', path: 'members' }] }, /everybody/],
    ['DELETE', '/Groups/3', undefined, /built in/],
  ];
  for (const [method, path, body, message] of refused) {
    const answer = await send(admin, method, path, body);
    t.equal(answer.status, 400, `${method} ${path} ${JSON.stringify(body)}`);
    t.match(answer.json, { error_code: 'INVALID_PARAMETER_VALUE', message });
  }
  t.equal((await send(admin, 'PATCH', '/Groups/4', { Operations: [] })).status, 200);
  t.equal(admin.identities.book.membersOf('4').length, 2, 'and nobody joined by it');
});

t.test('Me is who calls', async (t) => {
  const admin = await startAdmin(t);
  const me = await call(admin, 'GET', `${SCIM}/Me?excludedAttributes=entitlements`);
  t.match(me.json, { id: '1', userName: 'admin', active: true, groups: [{ display: 'admins' }] });
  t.notOk('entitlements' in me.json);
  t.equal(me.headers.get('x-databricks-org-id'), '900800700600');
  t.equal((await call(admin, 'GET', `${SCIM}/Me`, { headers: QUERY })).status, 403);
});
