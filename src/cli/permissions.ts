/** `pointsman permissions ENDPOINT [PRINCIPAL=LEVEL…]`: who may do what with an endpoint. */
import type { Command } from 'commander';
import { API, createClient, RefusedError, type AdminClient } from './client.js';
import { CliError, EXIT_OK, EXIT_USAGE, type Io } from './io.js';
import { addExamples, addTargetOptions } from './options.js';
import { withPrincipalHint } from './principals.js';
import { flag, listOf, objectOf, optional, text } from './shape.js';
import { renderTable } from './table.js';
import type { TargetOptions } from './target.js';

type Options = TargetOptions & { readonly json?: true };

/** How an entry names its principal, by the word that the command takes. */
const NAME_KEYS = {
  user: 'user_name',
  group: 'group_name',
  'service-principal': 'service_principal_name',
} as const;

type NameKey = (typeof NAME_KEYS)[keyof typeof NAME_KEYS];

type Names = { readonly [Key in NameKey]?: string };

interface ShownEntry extends Names {
  readonly all_permissions: readonly {
    readonly permission_level: string;
    readonly inherited: boolean;
  }[];
}

interface ShownPermissions {
  readonly access_control_list: readonly ShownEntry[];
}

const shownShape = objectOf<ShownPermissions>({
  access_control_list: listOf(
    objectOf<ShownEntry>({
      user_name: optional(text),
      group_name: optional(text),
      service_principal_name: optional(text),
      all_permissions: listOf(
        objectOf<ShownEntry['all_permissions'][number]>({
          permission_level: text,
          inherited: flag,
        }),
      ),
    }),
  ),
});

interface Change {
  readonly key: NameKey;
  readonly name: string;
  /** Null takes the direct permission away. */
  readonly level: string | null;
}

const TAKEN_AWAY = 'none';

/** Others may change the list at the same time; more in a row means that something is wrong. */
const ATTEMPTS_MAX = 5;

export function addPermissionsCommand(
  program: Command,
  io: Io,
  onExit: (code: number) => void,
): void {
  const command = program
    .command('permissions')
    .description('Show or set who may do what with an endpoint')
    .argument('<endpoint>')
    .argument('[principal=level...]', 'levels: CAN_VIEW, CAN_QUERY, CAN_MANAGE, or none')
    .action(async (endpoint: string, words: string[], options: Options) => {
      const changes = words.map(parseChange);
      const client = await createClient(options, io);
      const path = `${API}/permissions/serving-endpoints/${encodeURIComponent(endpoint)}`;
      const shown = await withPrincipalHint(permissionsAfter(client, path, changes), client);
      io.out(options.json ? JSON.stringify(shown, null, 2) : describe(shown));
      onExit(EXIT_OK);
    });
  addTargetOptions(command);
  addExamples(command, [
    'pointsman permissions iris',
    'pointsman permissions iris user:mia@example.org=CAN_MANAGE group:users=CAN_QUERY',
    'pointsman permissions iris group:users=none',
  ]);
}

function parseChange(word: string): Change {
  const [, kind = '', name = '', level = ''] = /^([a-z-]+):(.+)=([A-Za-z_]+)$/.exec(word) ?? [];
  if (!Object.hasOwn(NAME_KEYS, kind)) {
    throw new CliError(
      `${word} is not KIND:NAME=LEVEL.`,
      `Kinds: ${Object.keys(NAME_KEYS).join(', ')}; e.g. user:mia@example.org=CAN_QUERY.`,
      EXIT_USAGE,
    );
  }
  const key = NAME_KEYS[kind as keyof typeof NAME_KEYS];
  return { key, name, level: level === TAKEN_AWAY ? null : level };
}

/** Levels alone are merged by the daemon; to take one away the whole list is sent. */
async function permissionsAfter(
  client: AdminClient,
  path: string,
  changes: readonly Change[],
): Promise<ShownPermissions> {
  if (changes.length === 0) return (await client.call('GET', path, shownShape)).body;
  if (changes.some(({ level }) => level === null)) return replaced(client, path, changes);
  const body = { access_control_list: entriesOf(changes) };
  return (await client.call('PATCH', path, shownShape, { body })).body;
}

/** Replaces the list that was read and no other: one that changed meanwhile is read again. */
async function replaced(
  client: AdminClient,
  path: string,
  changes: readonly Change[],
): Promise<ShownPermissions> {
  for (let attempt = 1; ; attempt += 1) {
    const { body: before, etag } = await client.call('GET', path, shownShape);
    const list = listAfter(before, changes);
    try {
      const options = { body: { access_control_list: list }, ifMatch: etag };
      return (await client.call('PUT', path, shownShape, options)).body;
    } catch (error) {
      const isConflict = error instanceof RefusedError && error.code === 'RESOURCE_CONFLICT';
      if (!isConflict || attempt === ATTEMPTS_MAX) throw error;
    }
  }
}

/** @throws CliError when there is nothing to take away: a mistyped name must not look revoked. */
function listAfter(before: ShownPermissions, changes: readonly Change[]): object[] {
  const direct = before.access_control_list.flatMap((entry) =>
    entry.all_permissions
      .filter(({ inherited }) => !inherited)
      .map(({ permission_level: level }) => ({ ...namesOf(entry), permission_level: level })),
  );
  const absent = changes.filter(
    (change) => change.level === null && !direct.some((entry) => isNamed(entry, change)),
  );
  if (absent.length > 0) {
    const names = absent.map(({ key, name }) => principalOf({ [key]: name })).join(', ');
    throw new CliError(
      `Nothing was changed: no permission is given to ${names} here.`,
      'What comes from a group or from above is taken away there.',
    );
  }
  const kept = direct.filter((entry) => !changes.some((change) => isNamed(entry, change)));
  return [...kept, ...entriesOf(changes)];
}

/** The daemon takes names in any case. */
function isNamed(entry: Names, { key, name }: Change): boolean {
  return entry[key]?.toLowerCase() === name.toLowerCase();
}

function entriesOf(changes: readonly Change[]): object[] {
  return changes.flatMap(({ key, name, level }) =>
    level === null ? [] : [{ [key]: name, permission_level: level }],
  );
}

function namesOf(entry: Names): Names {
  const keys = Object.values(NAME_KEYS).filter((key) => entry[key] !== undefined);
  return Object.fromEntries(keys.map((key) => [key, entry[key]]));
}

function describe(shown: ShownPermissions): string {
  const rows = shown.access_control_list.flatMap((entry) =>
    entry.all_permissions.map(({ permission_level: level, inherited }) => [
      principalOf(entry),
      level,
      inherited ? 'inherited' : 'direct',
    ]),
  );
  return renderTable(['principal', 'level', 'by'], rows);
}

function principalOf(entry: Names): string {
  const found = Object.entries(NAME_KEYS).find(([, key]) => entry[key] !== undefined);
  return found === undefined ? '' : `${found[0]}:${String(entry[found[1]])}`;
}
