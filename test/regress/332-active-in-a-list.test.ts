/**
 * The Terraform provider deactivates by `"value": [{"value": "false"}]`, which was 400: whoever it took away stayed.
 */
import t from 'tap';
import { EMPTY_PROFILE } from '../../src/auth/identity-book.js';
import { call, startAdmin } from '../unit/admin/harness.js';

const SCIM = '/api/2.0/preview/scim/v2';
const headers = { 'content-type': 'application/scim+json' };

t.test('active as one item of a list, or as an object with a value', async (t) => {
  const admin = await startAdmin(t);
  const { id } = admin.identities.book.create('user', {
    name: 'mia',
    profile: EMPTY_PROFILE,
  });
  const patch = async (operation: object) => {
    const body = JSON.stringify({ Operations: [operation] });
    return call(admin, 'PATCH', `${SCIM}/Users/${id}`, { body, headers });
  };
  const forms = (text: string, value: boolean) => [
    [{ value: text }],
    [{ value }],
    { value: text },
    [text],
    text,
    value,
  ];
  for (const op of ['replace', 'add']) {
    for (const [index, off] of forms('false', false).entries()) {
      const what = `${op} ${JSON.stringify(off)}`;
      t.match((await patch({ op, path: 'active', value: off })).json, { active: false }, what);
      const on = forms('True', true)[index];
      t.match((await patch({ op, value: { active: on } })).json, { active: true }, what);
    }
  }
  for (const odd of [[], [{}], {}, [true, true], [[true]], 'no', 0, [{ value: [false] }]]) {
    const answer = await patch({ op: 'replace', path: 'active', value: odd });
    t.equal(answer.status, 400, JSON.stringify(odd));
  }
  t.equal(admin.identities.book.record(id)?.profile.active, true);
});
