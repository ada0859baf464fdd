/**
 * Lists of a SCIM PATCH with null in them ended in 500.
 */
import t from 'tap';
import { call, startAdmin } from '../unit/admin/harness.js';

const SCIM = '/api/2.0/preview/scim/v2';
const headers = { 'content-type': 'application/json' };

t.test('items of a SCIM PATCH that are neither text nor object', async (t) => {
  const admin = await startAdmin(t);
  const path = `${SCIM}/Groups/4`;
  const refused = async (operation: object, field: string): Promise<void> => {
    const body = JSON.stringify({ Operations: [operation] });
    const answer = await call(admin, 'PATCH', path, { body, headers });
    t.equal(answer.status, 400, `${body} ${answer.text}`);
    const message = `Operations[0].${field}: must be a string or an object`;
    t.match(answer.json, { error_code: 'INVALID_PARAMETER_VALUE', message });
  };
  for (const op of ['add', 'remove', 'replace']) {
    await refused({ op, path: 'members', value: [null] }, 'value[0]');
    await refused({ op, path: 'members', value: ['1', [null]] }, 'value[1]');
    await refused({ op, path: 'members', value: 7 }, 'value');
    await refused({ op, value: { members: null } }, 'value.members');
    await refused({ op, value: { members: [{ value: '1' }, true] } }, 'value.members[1]');
  }
});
