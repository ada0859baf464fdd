/** What workers logged, why one could not start too, went nowhere: their standard output was /dev/null. */
import t from 'tap';
import { startDaemon } from '../daemon/harness.js';
import { until } from '../daemon/live.js';

interface Line {
  readonly slot?: number;
  readonly msg: string;
}

t.test('lines of workers stand in the log of the daemon', { timeout: 60_000 }, async (t) => {
  const daemon = await startDaemon(t, { flags: { 'data-plane-workers': '2' } });
  const slots = (): (number | undefined)[] =>
    daemon.output
      .map((line) => JSON.parse(line) as Line)
      .filter(({ msg }) => msg === 'accepting')
      .map(({ slot }) => slot)
      .sort();
  await until(() => slots().length === 2);
  t.same(slots(), [0, 1]);
});
