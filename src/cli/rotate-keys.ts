/** `pointsman rotate-keys`: the next key for signing tokens; with --revoke in place of all others. */
import type { Command } from 'commander';
import { API, createClient } from './client.js';
import { EXIT_OK, type Io } from './io.js';
import { addExamples, addTargetOptions } from './options.js';
import { objectOf, text } from './shape.js';
import type { TargetOptions } from './target.js';

type Options = TargetOptions & { readonly json?: true; readonly revoke?: true };

const keyShape = objectOf<{ readonly kid: string }>({ kid: text });

export function addRotateKeysCommand(
  program: Command,
  io: Io,
  onExit: (code: number) => void,
): void {
  const command = program
    .command('rotate-keys')
    .description('Replace the key that signs access tokens')
    .option('--revoke', 'at once, and end every token that was signed before')
    .action(async (options: Options) => {
      const client = await createClient(options, io);
      const revoke = options.revoke === true;
      const path = `${API}/pointsman/signing-keys/rotate`;
      const { body } = await client.call('POST', path, keyShape, { body: { revoke } });
      io.out(options.json ? JSON.stringify(body, null, 2) : describe(body.kid, revoke));
      onExit(EXIT_OK);
    });
  addTargetOptions(command);
  addExamples(command, ['pointsman rotate-keys', 'pointsman rotate-keys --revoke']);
}

function describe(kid: string, revoke: boolean): string {
  return revoke
    ? `Key ${kid} signs now; every token that was signed before is refused.`
    : `Key ${kid} is published and signs in a minute; tokens signed before stay good until they expire.`;
}
