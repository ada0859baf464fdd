/**
 * Empty parts of a form used up the number of parameters that were looked at: what stood behind 65 ampersands was not seen,
 * so a limit to endpoints, or a parameter sent twice, had no effect.
 */
import t from 'tap';
import { parseForm } from '../../src/auth/form.js';
import { CLIENT_1, createServiceKit, permissionOn } from '../unit/auth/service-kit.js';

const TYPE = 'application/x-www-form-urlencoded';
const EMPTY_PARTS = '&'.repeat(80);
const formOf = (text: string) => parseForm(TYPE, Buffer.from(text));

t.test('every parameter is seen', (t) => {
  t.strictSame([...formOf(`a=1${EMPTY_PARTS}b=2`)].flat(), ['a', '1', 'b', '2']);
  t.throws(() => formOf(`a=1${EMPTY_PARTS}a=2`), { message: 'a: sent more than once' });
  const names = (count: number) =>
    Array.from({ length: count }, (_, index) => `p${String(index)}=1`).join('&&');
  t.equal(formOf(names(64)).size, 64);
  t.throws(() => formOf(names(65)), { message: 'too many parameters' });
  t.end();
});

t.test('a token that was to be limited is', async (t) => {
  const { ask } = await createServiceKit(t);
  const details = encodeURIComponent(permissionOn('m1', 'query_inference_endpoint'));
  const form = `grant_type=client_credentials${EMPTY_PARTS}authorization_details=${details}`;
  t.match(await ask(form, CLIENT_1), { status: 200, body: { authorization_details: [{}] } });
});
