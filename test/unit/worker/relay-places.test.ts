import { readFileSync } from 'node:fs';
import t from 'tap';
import {
  RELAYED_CALLS_MAX,
  RELAYED_CALLS_PER_ADDRESS_MAX,
  RelayPlaces,
} from '../../../src/worker/relay-places.js';
import { projectFile } from '../project-file.js';

t.test('an address takes its share, all together take what there is', (t) => {
  const places = new RelayPlaces();
  const take = (address: string, wanted: number): number => {
    let taken = 0;
    while (taken < wanted && places.take(address)) taken += 1;
    return taken;
  };
  let left = RELAYED_CALLS_MAX;
  for (let client = 0; left > 0; client += 1) {
    const share = Math.min(left, RELAYED_CALLS_PER_ADDRESS_MAX);
    t.equal(take(`client-${String(client)}`, RELAYED_CALLS_MAX), share);
    left -= share;
  }
  t.notOk(places.take('late'));
  places.free('client-0');
  t.ok(places.take('late'));
  t.notOk(places.take('client-0'), 'nobody waits for a place');
  for (let one = 1; one < RELAYED_CALLS_PER_ADDRESS_MAX; one += 1) places.free('client-0');
  places.free('late');
  t.equal(take('client-0', RELAYED_CALLS_MAX), RELAYED_CALLS_PER_ADDRESS_MAX);
  t.end();
});

t.test('docs/admin-api.md says how many', (t) => {
  const text = readFileSync(projectFile('docs/admin-api.md'), 'utf8');
  t.match(text, `at most ${String(RELAYED_CALLS_MAX)} calls of a kind`);
  t.match(text.replaceAll('\n', ' '), `at most ${String(RELAYED_CALLS_PER_ADDRESS_MAX)} of them`);
  t.end();
});
