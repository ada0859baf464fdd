/**
 * `pointsman token ACTION`: access tokens, and new local tokens. `reset` works without a daemon: it
 * takes away the files of the admin and the query token, and the next start makes new ones.
 */
import { existsSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { Argument, type Command } from 'commander';
import { STATE_FILES } from '../config/state-files.js';
import { API, createClient, isDenied, type AdminClient } from './client.js';
import { CliError, EXIT_OK, EXIT_USAGE, type Io } from './io.js';
import { addExamples, addTargetOptions } from './options.js';
import { anything, listOf, objectOf, optional, text, time } from './shape.js';
import { withPrincipalHint } from './principals.js';
import { renderTable } from './table.js';
import { stateDirs, type TargetOptions } from './target.js';

interface Options extends TargetOptions {
  readonly json?: true;
  readonly user?: string;
  readonly application?: string;
  readonly lifetimeS?: string;
  readonly comment?: string;
}

interface TokenInfo {
  readonly token_id: string;
  /** In the list of everybody's. */
  readonly created_by_username?: string | undefined;
  readonly creation_time: number;
  readonly expiry_time: number;
  readonly comment: string;
}

interface CreatedToken {
  readonly token_value: string;
  readonly token_info: { readonly token_id: string };
}

interface TokenList {
  readonly token_infos: readonly TokenInfo[];
}

/** Of the access token that a fetched one goes back to. */
const FETCHED_LIFETIME_S = 3_600;

interface EndpointView {
  readonly id: string;
  /** Of a route-optimized one. */
  readonly endpoint_url?: string;
}

const endpointShape = objectOf<EndpointView>({ id: text, endpoint_url: optional(text) });
const madeShape = objectOf<{ readonly token_value: string }>({ token_value: text });
const createdShape = objectOf<CreatedToken>({
  token_value: text,
  token_info: objectOf<CreatedToken['token_info']>({ token_id: text }),
});
const fetchedShape = objectOf<{ readonly access_token: string }>({ access_token: text });
const tokensShape = objectOf<TokenList>({
  token_infos: listOf(
    objectOf<TokenInfo>({
      token_id: text,
      created_by_username: optional(text),
      creation_time: time,
      expiry_time: time,
      comment: text,
    }),
  ),
});

const ACTIONS = { create, list, delete: remove, fetch: fetchToken, reset };

type Action = keyof typeof ACTIONS;

export function addTokenCommand(program: Command, io: Io, onExit: (code: number) => void): void {
  const command = program
    .command('token')
    .description('Access tokens, OAuth tokens for an endpoint, and new local tokens')
    .addArgument(new Argument('<action>').choices(Object.keys(ACTIONS)))
    .argument('[name]', 'delete: the token; fetch: the endpoint')
    .option('--user <name>', 'create: for this user; with no owner named: for yourself')
    .option('--application <id>', 'create: for this service principal')
    .option('--lifetime-s <seconds>', 'create: how long it is good; without it for ever')
    .option('--comment <text>', 'create: what it is for')
    .action(async (action: Action, name: string | undefined, options: Options) => {
      await ACTIONS[action](options, io, name);
      onExit(EXIT_OK);
    });
  addTargetOptions(command);
  addExamples(command, [
    'pointsman token create --user mia@example.org --lifetime-s 86400',
    'pointsman token list',
    'pointsman token delete 4f0c…',
    'pointsman token fetch iris',
    'pointsman token reset --state-dir ./pointsman-state',
  ]);
}

/** For oneself when nobody is named. The token alone goes to standard output. */
async function create(options: Options, io: Io): Promise<void> {
  const { user, application, lifetimeS, comment } = options;
  if (user !== undefined && application !== undefined) {
    throw new CliError('A token has one owner: --user or --application.', '', EXIT_USAGE);
  }
  const own = user === undefined && application === undefined;
  const path = own ? '/token/create' : '/token-management/on-behalf-of/tokens';
  const client = await createClient(options, io);
  const body = { lifetime_seconds: lifetimeS, comment: comment ?? '' };
  const made = await withPrincipalHint(
    client.call('POST', `${API}${path}`, createdShape, {
      body: { ...body, user_name: user, application_id: application },
    }),
    client,
  );
  const { token_value: value, token_info: info } = made.body;
  io.out(options.json ? JSON.stringify(made.body, null, 2) : value);
  if (!options.json) io.err(`Token ${info.token_id}; it is shown this once.`);
}

async function list(options: Options, io: Io): Promise<void> {
  const client = await createClient(options, io);
  const body = await listTokens(client);
  if (options.json) {
    io.out(JSON.stringify(body, null, 2));
    return;
  }
  const rows = body.token_infos.map((token) => [
    token.token_id,
    token.created_by_username ?? 'yourself',
    new Date(token.creation_time).toISOString(),
    token.expiry_time < 0 ? 'never' : new Date(token.expiry_time).toISOString(),
    token.comment,
  ]);
  io.out(renderTable(['token', 'owner', 'made', 'expires', 'comment'], rows));
}

/** Everybody's; for who is no admin, the caller's own. */
async function listTokens(client: AdminClient): Promise<TokenList> {
  try {
    return (await client.call('GET', `${API}/token-management/tokens`, tokensShape)).body;
  } catch (error) {
    if (!isDenied(error)) throw error;
    return (await client.call('GET', `${API}/token/list`, tokensShape)).body;
  }
}

async function remove(options: Options, io: Io, tokenId: string | undefined): Promise<void> {
  if (tokenId === undefined) {
    throw new CliError('Which token? Add its id.', '"pointsman token list" shows it.', EXIT_USAGE);
  }
  const client = await createClient(options, io);
  const body = await deleteToken(client, tokenId);
  io.out(options.json ? JSON.stringify(body) : `Token ${tokenId} is refused from now on.`);
}

/** Anybody's; for who is no admin, one of the caller's own. */
async function deleteToken(client: AdminClient, tokenId: string): Promise<unknown> {
  const path = `${API}/token-management/tokens/${encodeURIComponent(tokenId)}`;
  try {
    return (await client.call('DELETE', path, anything)).body;
  } catch (error) {
    if (!isDenied(error)) throw error;
    const own = { body: { token_id: tokenId } };
    return (await client.call('POST', `${API}/token/delete`, anything, own)).body;
  }
}

/**
 * An OAuth token that opens the endpoint and nothing else, as its route-optimized URL wants it. Exchanged for an access
 * token of an hour, which it ends with.
 */
async function fetchToken(options: Options, io: Io, endpoint: string | undefined): Promise<void> {
  if (endpoint === undefined) {
    throw new CliError('For which endpoint? Add its name.', '', EXIT_USAGE);
  }
  const client = await createClient(options, io);
  const path = `${API}/serving-endpoints/${encodeURIComponent(endpoint)}`;
  const { id, endpoint_url: own } = (await client.call('GET', path, endpointShape)).body;
  const made = await client.call('POST', `${API}/token/create`, madeShape, {
    body: { lifetime_seconds: FETCHED_LIFETIME_S, comment: `pointsman token fetch ${endpoint}` },
  });
  const { body } = await client.call('POST', '/oidc/v1/token', fetchedShape, {
    form: {
      grant_type: 'urn:ietf:params:oauth:grant-type:token-exchange',
      subject_token: made.body.token_value,
      subject_token_type: 'urn:databricks:params:oauth:token-type:personal-access-token',
      authorization_details: JSON.stringify([
        {
          type: 'workspace_permission',
          object_type: 'serving-endpoints',
          object_path: `/serving-endpoints/${id}`,
          actions: ['query_inference_endpoint'],
        },
      ]),
    },
  });
  const base = client.target.dataUrl ?? client.target.url;
  const url = own ?? `${base}/serving-endpoints/${endpoint}/invocations`;
  if (options.json) {
    io.out(JSON.stringify({ ...body, endpoint_url: url }, null, 2));
    return;
  }
  io.out(`TOKEN=${body.access_token}`);
  io.out(
    `curl -X POST ${url} -H "Authorization: Bearer $TOKEN" -H 'Content-Type: application/json' -d '{"inputs": []}'`,
  );
}

/** In one state directory, and only what was there: the wrong directory must not look reset. */
function reset(options: Options, io: Io): Promise<void> {
  const dirs = stateDirs(options, io);
  const found = dirs.map(tokenFilesIn).filter((files) => files.length > 0);
  const [files] = found;
  if (files === undefined) {
    const hint = 'Name the state directory with --state-dir.';
    throw new CliError(`There are no tokens in ${dirs.join(' or ')}.`, hint);
  }
  if (found.length > 1) {
    const hint = 'Name the one that is meant with --state-dir.';
    throw new CliError(`There are tokens in ${dirs.join(' and ')}.`, hint, EXIT_USAGE);
  }
  for (const file of files) rmSync(file, { force: true });
  io.out(
    options.json
      ? JSON.stringify({ removed: files })
      : `Removed ${files.join(' and ')}. The next start makes new tokens; a daemon that runs takes the old ones until then.`,
  );
  return Promise.resolve();
}

function tokenFilesIn(stateDir: string): string[] {
  const names = [STATE_FILES.adminToken, STATE_FILES.queryToken];
  return names.map((name) => join(stateDir, name)).filter((file) => existsSync(file));
}
