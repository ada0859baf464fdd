/**
 * POINTSMAN_ADMIN_TOKEN could be any 16 characters, and nothing slows down who guesses on the data port.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import t from 'tap';
import { loadLocalTokens } from '../../src/auth/local-tokens.js';
import { temporaryDirectory } from '../daemon/harness.js';
import { projectFile } from '../unit/project-file.js';

const LEAST = 32;

t.test('a token that somebody chose has at least 32 characters', (t) => {
  const dir = temporaryDirectory(t);
  const load = (token: string) => loadLocalTokens(dir, { POINTSMAN_ADMIN_TOKEN: token });
  t.throws(() => load('x'.repeat(LEAST - 1)), {
    message: /^POINTSMAN_ADMIN_TOKEN: must have at least 32 characters; .*openssl rand -hex 32/,
  });
  t.equal(load('x'.repeat(LEAST)).length, 3);
  t.equal(load('').length, 2, 'none');
  const file = path.join(dir, 'query-token');
  writeFileSync(file, `${'x'.repeat(LEAST - 1)}\n`);
  t.throws(() => load(''), { message: /query-token holds no token of at least 32 characters/ });
  writeFileSync(file, `${'x'.repeat(LEAST)}\n`);
  t.equal(load('').length, 2);
  t.match(
    readFileSync(projectFile('docs/configuration.md'), 'utf8'),
    /`POINTSMAN_ADMIN_TOKEN` .*at least 32 characters/,
  );
  t.end();
});
