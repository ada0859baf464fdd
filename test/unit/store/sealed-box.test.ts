import { randomBytes } from 'node:crypto';
import t from 'tap';
import { createSealer, MASTER_KEY_BYTES } from '../../../src/store/sealed-box.js';

const KEY = Buffer.alloc(MASTER_KEY_BYTES, 7);

t.test('what was sealed opens again, and never looks the same twice', (t) => {
  const sealer = createSealer(KEY);
  for (const plain of [Buffer.alloc(0), Buffer.from('a key'), randomBytes(10_000)]) {
    const sealed = sealer.seal('keys/1', plain);
    t.strictSame(Buffer.from(sealer.open('keys/1', sealed)), plain);
    t.notSame(sealer.seal('keys/1', plain), sealed);
    t.notOk(plain.length > 0 && Buffer.from(sealed).includes(plain));
  }
  t.end();
});

t.test('another purpose, another key and every altered byte are refused', (t) => {
  const sealer = createSealer(KEY);
  const sealed = sealer.seal('keys/1', Buffer.from('a key'));
  t.throws(() => sealer.open('keys/2', sealed), /keys\/2 does not open/);
  const other = createSealer(Buffer.alloc(MASTER_KEY_BYTES, 8));
  t.throws(() => other.open('keys/1', sealed), /does not open/);
  for (let index = 0; index < sealed.length; index += 1) {
    const altered = Buffer.from(sealed);
    altered[index] = (altered[index] ?? 0) ^ 1;
    t.throws(() => sealer.open('keys/1', altered), `byte ${String(index)}`);
  }
  for (let length = 0; length < sealed.length; length += 1) {
    t.throws(() => sealer.open('keys/1', sealed.subarray(0, length)));
  }
  t.throws(() => createSealer(Buffer.alloc(16)), /32 bytes/);
  t.end();
});

t.test('a hash depends on key, purpose and secret', (t) => {
  const sealer = createSealer(KEY);
  const hash = sealer.hash('access-token', 'secret');
  t.equal(hash.length, 32);
  t.strictSame(createSealer(KEY).hash('access-token', 'secret'), hash);
  t.notSame(sealer.hash('access-token', 'secres'), hash);
  t.notSame(sealer.hash('access-toke', 'nsecret'), hash);
  t.notSame(createSealer(Buffer.alloc(MASTER_KEY_BYTES, 8)).hash('access-token', 'secret'), hash);
  t.end();
});
