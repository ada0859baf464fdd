import { mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import Database from 'better-sqlite3';
import {
  CONFIG_BYTES_KEPT,
  CONFIGS_KEPT,
  FIRST_REVISION,
  REVISION_BYTES_KEPT,
  REVISIONS_KEPT,
  Store,
  STORE_FILE,
} from '../../../src/store/store.js';

function tempDir(test: Test): string {
  const dir = mkdtempSync(join(tmpdir(), 'pointsman-store-'));
  test.teardown(() => {
    rmSync(dir, { recursive: true, force: true });
  });
  return dir;
}

const REVISION = { createdAt: 5, principal: 'mia', summary: 'test' };

t.test('a new store is empty, private, and at the first revision', (t) => {
  const dir = join(tempDir(t), 'state');
  const store = Store.open(dir);
  t.teardown(() => {
    store.close();
  });
  t.equal(store.revision, FIRST_REVISION);
  t.same(store.records('endpoint'), []);
  t.equal(statSync(join(dir, STORE_FILE)).mode & 0o777, 0o600);
  t.equal(statSync(join(dir, `${STORE_FILE}-wal`)).mode & 0o777, 0o600);
  t.equal(statSync(dir).mode & 0o777, 0o700);
  t.end();
});

t.test(
  'records and the revision survive reopening; a revision number is never given twice',
  (t) => {
    const dir = tempDir(t);
    const first = Store.open(dir);
    first.commit({ records: [{ kind: 'endpoint', name: 'b', json: '{"x":1}' }] });
    t.equal(first.revision, FIRST_REVISION, 'a change without a revision takes no number');
    const number = first.commit({
      records: [{ kind: 'endpoint', name: 'a', json: '{}' }],
      revision: REVISION,
    });
    t.equal(number, FIRST_REVISION + 1);
    first.commit({ records: [{ kind: 'endpoint', name: 'a', json: null }], revision: REVISION });
    first.close();
    const second = Store.open(dir);
    t.teardown(() => {
      second.close();
    });
    t.equal(second.revision, FIRST_REVISION + 2);
    t.same(second.records('endpoint'), [{ name: 'b', json: '{"x":1}' }]);
    t.match(second.revisions(1), [
      {
        number: FIRST_REVISION + 2,
        principal: 'mia',
        changes: [{ kind: 'endpoint', name: 'a', before: '{}', after: null }],
      },
    ]);
    t.end();
  },
);

t.test('a commit that fails half way leaves nothing behind', (t) => {
  const store = Store.open(tempDir(t));
  t.teardown(() => {
    store.close();
  });
  const records = [
    { kind: 'endpoint', name: 'a', json: '{}' },
    { kind: 'nonsense', name: 'b', json: '{}' },
  ] as unknown as Parameters<Store['commit']>[0]['records'];
  t.throws(() => store.commit({ records, revision: REVISION }), /CHECK/);
  t.same(store.records('endpoint'), []);
  t.equal(store.revision, FIRST_REVISION);
  t.same(store.revisions(10), []);
  t.end();
});

t.test('history is bounded', (t) => {
  const store = Store.open(tempDir(t));
  t.teardown(() => {
    store.close();
  });
  const records = [{ kind: 'endpoint', name: 'a', json: '{}' }] as const;
  for (let count = 0; count < REVISIONS_KEPT + 5; count += 1) {
    store.commit({ records, revision: REVISION });
  }
  t.equal(store.revisions(REVISIONS_KEPT * 2).length, REVISIONS_KEPT);
  t.equal(store.revision, FIRST_REVISION + REVISIONS_KEPT + 5);
  t.end();
});

t.test('history is bounded by bytes too, and the newest stays', (t) => {
  const store = Store.open(tempDir(t));
  t.teardown(() => {
    store.close();
  });
  const big = (bytes: number) => {
    const json = `"${'x'.repeat(bytes - 2)}"`;
    store.commit({ records: [{ kind: 'endpoint', name: 'a', json }], revision: REVISION });
  };
  const kept = () => store.revisions(100).map(({ number }) => number - FIRST_REVISION);
  // Each keeps what was before it, too.
  const quarter = REVISION_BYTES_KEPT / 4;
  for (let count = 0; count < 4; count += 1) big(quarter);
  t.strictSame(kept(), [4, 3, 2]);
  big(REVISION_BYTES_KEPT + 1);
  t.strictSame(kept(), [5]);
  const row = store.revisions(1)[0]?.changes[0];
  t.equal(row?.before?.length, quarter);
  big(2);
  big(2);
  t.strictSame(kept(), [7, 6]);
  t.end();
});

t.test('configs are bounded by bytes too, but for the newest and those that served', (t) => {
  const store = Store.open(tempDir(t));
  t.teardown(() => {
    store.close();
  });
  const json = `"${'x'.repeat(CONFIG_BYTES_KEPT / 4 - 2)}"`;
  const put = (version: number, text = json) => {
    store.commit({ records: [], configs: [{ ...accepted('a', version), json: text }] });
  };
  put(1);
  store.commit({
    records: [],
    configs: [{ kind: 'activated', endpointId: 'a', version: 1, at: 9 }],
  });
  for (let version = 2; version <= 8; version += 1) put(version);
  const kept = () => store.configs('a').map(({ version }) => version);
  t.strictSame(kept(), [8, 7, 6, 5, 1]);
  put(9, `"${'x'.repeat(CONFIG_BYTES_KEPT)}"`);
  t.strictSame(kept(), [9, 1]);
  t.strictSame(store.configs('b'), []);
  t.end();
});

t.test('a store of a newer version and a damaged file are refused', (t) => {
  const newer = tempDir(t);
  Store.open(newer).close();
  const db = new Database(join(newer, STORE_FILE));
  db.pragma('user_version = 99');
  db.close();
  t.throws(() => Store.open(newer), /schema 99/);
  const damaged = tempDir(t);
  writeFileSync(
    join(damaged, STORE_FILE),
    'this is no database, whatever its name says'.repeat(40),
  );
  t.throws(() => Store.open(damaged), /not a database/);
  t.end();
});

function accepted(endpointId: string, version: number) {
  const kind = 'accepted' as const;
  return { kind, endpointId, version, acceptedAt: version, principal: 'mia', json: '{}' };
}

t.test('accepted configs: newest first, bounded, replaced, activated', (t) => {
  const store = Store.open(tempDir(t));
  t.teardown(() => {
    store.close();
  });
  for (let version = 1; version <= CONFIGS_KEPT + 5; version += 1) {
    store.commit({ records: [], configs: [accepted('a', version)] });
  }
  store.commit({ records: [], configs: [accepted('b', 1)] });
  const rows = store.configs('a');
  t.equal(rows.length, CONFIGS_KEPT + 1);
  t.match(rows[0], { version: CONFIGS_KEPT + 5, activatedAt: null });
  const version = CONFIGS_KEPT + 5;
  const activated = { kind: 'activated', endpointId: 'a', version, at: 7 } as const;
  store.commit({ records: [], configs: [activated] });
  t.match(store.configs('a')[0], { version, activatedAt: 7 });
  store.commit({ records: [], configs: [{ ...accepted('a', version), json: '{"x":1}' }] });
  t.match(store.configs('a')[0], { version, json: '{"x":1}', activatedAt: null });
  t.equal(store.configs('b').length, 1);
  t.end();
});

t.test('configs go with their endpoint', (t) => {
  const store = Store.open(tempDir(t));
  t.teardown(() => {
    store.close();
  });
  const configs = ['a', 'b', 'c'].map((id) => accepted(id, 1));
  store.commit({ records: [], configs });
  store.forgetConfigsOf('a');
  t.strictSame(
    ['a', 'b', 'c'].map((id) => store.configs(id).length),
    [0, 1, 1],
  );
  store.keepConfigsOf(['c']);
  t.strictSame(
    ['a', 'b', 'c'].map((id) => store.configs(id).length),
    [0, 0, 1],
  );
  t.end();
});

t.test('a store of the first schema keeps its endpoints and gets their active configs', (t) => {
  const dir = tempDir(t);
  Store.open(dir).close();
  const db = new Database(join(dir, STORE_FILE));
  const later = ['configs', 'memberships', 'credentials', 'principals', 'sealed_values'];
  for (const table of [...later, 'host_addresses', 'deleted_names']) {
    db.exec(`DROP TABLE ${table}`);
  }
  db.exec('ALTER TABLE revisions DROP COLUMN written');
  db.pragma('user_version = 1');
  const put = db.prepare("INSERT INTO records VALUES ('endpoint', ?, ?)");
  const active = { version: 3, entities: [], routes: [], autoCapture: null };
  const common = { creator: 'mia', updatedAt: 5 };
  put.run('e', JSON.stringify({ ...common, id: 'f00', active }));
  put.run('shell', JSON.stringify({ ...common, id: 'f01', active: null }));
  db.close();
  const store = Store.open(dir);
  t.teardown(() => {
    store.close();
  });
  t.equal(store.records('endpoint').length, 2);
  t.strictSame(store.configs('f00'), [
    {
      version: 3,
      acceptedAt: 5,
      principal: 'mia',
      activatedAt: 5,
      json: JSON.stringify(active),
    },
  ]);
  t.strictSame(store.configs('f01'), []);
  t.end();
});
