/** Questions on a terminal that is a pair of streams. */
import { PassThrough } from 'node:stream';
import { setImmediate as nextTurn } from 'node:timers/promises';
import t from 'tap';
import { ask } from '../../../src/cli/ask.js';

function start(): { answer: Promise<string>; input: PassThrough; shown: () => string } {
  const interruption = new AbortController();
  const input = new PassThrough();
  const output = new PassThrough();
  let shown = '';
  output.setEncoding('utf8').on('data', (part: string) => (shown += part));
  const answer = ask('Delete? [y/N] ', {
    input,
    output,
    signal: interruption.signal,
    onInterrupt: () => {
      interruption.abort();
    },
  });
  return { answer, input, shown: () => shown };
}

t.test('a line is the answer', async (t) => {
  const { answer, input, shown } = start();
  input.write('y\n');
  t.equal(await answer, 'y');
  t.match(shown(), /Delete\? \[y\/N\] /);
});

t.test('Ctrl-C ends the command as interrupted, without a stack', async (t) => {
  const { answer, input, shown } = start();
  input.write('\u0003');
  await t.rejects(answer, { name: 'CliError', message: 'Interrupted.', exitCode: 130 });
  await nextTurn();
  t.ok(shown().endsWith('\n'));
});

t.test('Ctrl-D and the end of the input are no answer', async (t) => {
  const key = start();
  key.input.write('\u0004');
  t.equal(await key.answer, '');
  const ended = start();
  ended.input.end();
  t.equal(await ended.answer, '');
});
