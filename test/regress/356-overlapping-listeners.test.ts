/** Listen addresses that overlap passed `pointsman check`, and the start blamed another process for the port that its own listener had. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { overlap, tryParseListenAddress } from '../../src/config/listen-address.js';
import { run } from '../unit/cli/harness.js';
import { tempDir } from '../unit/control/harness.js';

function overlaps(a: string, b: string): boolean {
  const [one, two] = [tryParseListenAddress(a), tryParseListenAddress(b)];
  if (one === null || two === null) throw new Error(`${a} ${b}`);
  t.equal(overlap(one, two), overlap(two, one));
  return overlap(one, two);
}

t.test("which listeners are in each other's way", (t) => {
  t.ok(overlaps('0.0.0.0:8080', '127.0.0.1:8080'));
  t.ok(overlaps('[::]:8080', '[::1]:8080'));
  t.ok(overlaps('[::1]:8080', '[0:0:0:0:0:0:0:1]:8080'));
  t.ok(overlaps('localhost:1', 'LOCALHOST:1'));
  t.notOk(overlaps('0.0.0.0:8080', '127.0.0.1:8081'));
  t.notOk(overlaps('0.0.0.0:0', '127.0.0.1:0'), 'the system chooses');
  t.notOk(overlaps('0.0.0.0:8080', '[::]:8080'), 'families of their own');
  t.notOk(overlaps('127.0.0.1:8080', '127.0.0.2:8080'));
  t.end();
});

t.test('check names both', async (t) => {
  const config = join(tempDir(t), 'pointsman.yaml');
  const check = async (text: string) => {
    writeFileSync(config, text);
    return run(['check', '--config', config]);
  };
  const within = await check('data_plane: { listen: ["127.0.0.1:8080", "127.0.0.1:8080"] }');
  t.not(within.code, 0);
  t.match(within.err, /data_plane\.listen: 127\.0\.0\.1:8080 is used twice/);
  const beside = await check('data_plane: { listen: ["0.0.0.0:8080", "127.0.0.1:8080"] }');
  t.not(beside.code, 0);
  t.match(beside.err, /data_plane\.listen: 127\.0\.0\.1:8080 and .* 0\.0\.0\.0:8080 overlap/);
});
