import { chmodSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { openSealer } from '../../../src/store/master-key.js';
import { Store } from '../../../src/store/store.js';

function openStore(t: Test): { dir: string; store: Store; file: string } {
  const dir = mkdtempSync(join(tmpdir(), 'pm-key-'));
  const store = Store.open(dir);
  t.teardown(() => {
    store.close();
    rmSync(dir, { recursive: true, force: true });
  });
  return { dir, store, file: join(dir, 'master-key') };
}

t.test('the file is made once, for its owner alone, and opens what it sealed', (t) => {
  const { dir, store, file } = openStore(t);
  const sealed = openSealer(dir, {}, store.sealedValues).seal('x', Buffer.from('y'));
  t.equal(statSync(file).mode & 0o777, 0o600);
  const text = readFileSync(file, 'utf8');
  t.match(text, /^[A-Za-z0-9+/]{43}=\n$/);
  chmodSync(file, 0o644);
  const again = openSealer(dir, {}, store.sealedValues);
  t.equal(Buffer.from(again.open('x', sealed)).toString(), 'y');
  t.equal(statSync(file).mode & 0o777, 0o600, 'loosened rights are tightened');
  t.equal(readFileSync(file, 'utf8'), text);
  t.end();
});

t.test('another key, or none, refuses the start and changes nothing', (t) => {
  const { dir, store, file } = openStore(t);
  openSealer(dir, {}, store.sealedValues);
  const mark = store.sealedValues.get('master-key-mark');
  const text = readFileSync(file, 'utf8');
  const other = Buffer.alloc(32, 9).toString('base64');
  t.throws(() => openSealer(dir, { POINTSMAN_MASTER_KEY: other }, store.sealedValues), {
    message: /^POINTSMAN_MASTER_KEY: is not the key/,
  });
  rmSync(file);
  t.throws(() => openSealer(dir, {}, store.sealedValues), { message: /master-key: is missing/ });
  t.throws(() => statSync(file), { code: 'ENOENT' }, 'no new key in its place');
  writeFileSync(file, other);
  t.throws(() => openSealer(dir, {}, store.sealedValues), {
    message: /master-key: is not the key/,
  });
  t.strictSame(store.sealedValues.get('master-key-mark'), mark);
  writeFileSync(file, text);
  openSealer(dir, {}, store.sealedValues);
  t.end();
});

t.test('the variable takes base64, base64url and hexadecimal digits of 32 bytes', (t) => {
  const { dir, store, file } = openStore(t);
  const key = Buffer.alloc(32, 251);
  const { sealedValues } = store;
  const forms = [key.toString('base64'), key.toString('base64url'), key.toString('hex')];
  for (const form of forms) {
    openSealer(dir, { POINTSMAN_MASTER_KEY: ` ${form}\n` }, sealedValues);
  }
  t.throws(() => statSync(file), { code: 'ENOENT' }, 'no file beside the variable');
  for (const bad of ['secret!', key.toString('hex').slice(2), `${key.toString('base64')}A`]) {
    try {
      openSealer(dir, { POINTSMAN_MASTER_KEY: bad }, sealedValues);
      t.fail(bad);
    } catch (error) {
      t.match(error, { message: /^POINTSMAN_MASTER_KEY: must be 32 bytes/ });
      t.notOk(String(error).includes(bad), 'the value is not repeated');
    }
  }
  t.end();
});
