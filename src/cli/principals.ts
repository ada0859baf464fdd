/** `pointsman principals`: users, service principals and groups. */
import type { Command } from 'commander';
import { API, createClient, RefusedError, type AdminClient } from './client.js';
import { EXIT_OK, type Io } from './io.js';
import { addExamples, addTargetOptions } from './options.js';
import { flag, listOf, objectOf, optional, text } from './shape.js';
import { renderTable } from './table.js';
import type { TargetOptions } from './target.js';

type Options = TargetOptions & { readonly json?: true };

interface Resource {
  readonly id: string;
  readonly userName?: string;
  readonly applicationId?: string;
  readonly displayName?: string;
  readonly active?: boolean;
  readonly groups: readonly { readonly display: string }[];
  readonly entitlements: readonly { readonly value: string }[];
}

const listShape = objectOf<{ readonly Resources: readonly Resource[] }>({
  Resources: listOf(
    objectOf<Resource>({
      id: text,
      userName: optional(text),
      applicationId: optional(text),
      displayName: optional(text),
      active: optional(flag),
      groups: listOf(objectOf<Resource['groups'][number]>({ display: text })),
      entitlements: listOf(objectOf<Resource['entitlements'][number]>({ value: text })),
    }),
  ),
});

/** Segments of the API's paths, by the word that stands in the table. */
const PLURALS = { user: 'Users', 'service-principal': 'ServicePrincipals', group: 'Groups' };

export function addPrincipalsCommand(
  program: Command,
  io: Io,
  onExit: (code: number) => void,
): void {
  const command = program
    .command('principals')
    .description('List users, service principals and groups')
    .action(async (options: Options) => {
      const client = await createClient(options, io);
      const lists: Record<string, readonly Resource[]> = {};
      for (const [kind, plural] of Object.entries(PLURALS)) {
        lists[kind] = await resourcesOf(client, plural);
      }
      io.out(options.json ? JSON.stringify(lists, null, 2) : describe(lists));
      onExit(EXIT_OK);
    });
  addTargetOptions(command);
  addExamples(command, ['pointsman principals', 'pointsman principals --json']);
}

async function resourcesOf(client: AdminClient, plural: string): Promise<readonly Resource[]> {
  const { body } = await client.call('GET', `${API}/preview/scim/v2/${plural}`, listShape);
  return body.Resources;
}

function describe(lists: Readonly<Record<string, readonly Resource[]>>): string {
  const rows = Object.entries(lists).flatMap(([kind, resources]) =>
    resources.map((resource) => [
      resource.id,
      `${kind}:${resource.userName ?? resource.applicationId ?? resource.displayName ?? ''}`,
      resource.displayName ?? '',
      resource.active === false ? 'inactive' : 'active',
      resource.groups.map(({ display }) => display).join(', '),
      resource.entitlements.map(({ value }) => value).join(', '),
    ]),
  );
  return renderTable(['id', 'principal', 'shown as', 'state', 'groups', 'entitlements'], rows);
}

/** In the daemon's words, of permissions and of tokens. */
const UNKNOWN_PRINCIPAL = /there is no (user|group|service principal) |there is no such principal /;

/** A refusal because a principal is not there says how one is made and what it goes by. */
export async function withPrincipalHint<T>(answer: Promise<T>, client: AdminClient): Promise<T> {
  try {
    return await answer;
  } catch (error) {
    if (!(error instanceof RefusedError) || !UNKNOWN_PRINCIPAL.test(error.message)) throw error;
    const list = client.line('principals');
    const hint =
      `Make it with POST ${API}/preview/scim/v2/Users (ServicePrincipals, Groups). ` +
      `Service principals go by their application id, which "${list}" shows.`;
    throw new RefusedError(error.message, error.code, hint);
  }
}
