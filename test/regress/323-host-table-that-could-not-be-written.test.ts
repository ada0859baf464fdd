/** Addresses of host names that could not be stored once, on a full disk for example, were not stored at all unless they changed. */
import t from 'tap';
import { HostBook } from '../../src/control/host-book.js';
import { Store } from '../../src/store/store.js';
import { ManualClock, tempDir, until } from '../unit/control/harness.js';

t.test('a write that fails is repeated, at leisure', async (t) => {
  const { hosts } = Store.open(tempDir(t));
  const clock = new ManualClock();
  const faults: string[] = [];
  let isFull = true;
  const book = new HostBook({
    clock,
    resolve: (host) => Promise.resolve([host === 'a.example' ? '127.0.0.1' : '127.0.0.2']),
    onChange: () => undefined,
    memory: {
      all: () => hosts.all(),
      write: (changes) => {
        if (isFull) throw new Error('the disk is full');
        hosts.write(changes);
      },
    },
    onFault: (problem) => faults.push(problem),
  });
  t.teardown(() => {
    book.stop();
  });
  book.retain('a.example');
  await until(() => book.addresses('a.example').length > 0, 'resolved');
  clock.advance(1_000);
  t.equal(faults.length, 1);
  book.retain('b.example');
  await until(() => book.addresses('b.example').length > 0, 'resolved');
  clock.advance(10_000);
  t.equal(faults.length, 1, 'the log is not flooded');
  isFull = false;
  clock.advance(60_000);
  t.same([...hosts.all().keys()].sort(), ['a.example', 'b.example']);
  isFull = true;
  book.release('a.example');
  await until(() => book.addresses('a.example').length === 0, 'dropped');
  book.stop();
  t.equal(faults.length, 2);
  clock.advance(600_000);
  t.equal(faults.length, 2, 'nothing is tried behind the end');
});
