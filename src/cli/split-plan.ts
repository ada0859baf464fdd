/**
 * The arithmetic of `pointsman split`, apart from the network: what the arguments mean for an
 * endpoint, and what the counters say afterwards.
 */
import type { EntityStatus } from '../control/control-plane.js';
import { nearestOf } from '../core/nearest.js';
import { CliError, EXIT_USAGE } from './io.js';
import { listOf, number, objectOf, optional, text } from './shape.js';

export interface Share {
  readonly name: string;
  readonly percent: number;
}

/** An endpoint's shares before and after, entities in the endpoint's order. */
export interface SplitPlan {
  readonly endpoint: string;
  readonly before: readonly Share[];
  readonly after: readonly Share[];
}

/** What the API shows of an endpoint's config, as far as a split needs it. */
export interface ConfigView {
  readonly served_entities?: readonly EntityView[] | undefined;
  readonly traffic_config?: { readonly routes?: readonly RouteView[] | undefined } | undefined;
}

interface EntityView {
  readonly name: string;
}

interface RouteView {
  readonly served_model_name: string;
  readonly traffic_percentage: number;
}

export const configShape = objectOf<ConfigView>({
  served_entities: optional(listOf(objectOf<EntityView>({ name: text }))),
  traffic_config: optional(
    objectOf<NonNullable<ConfigView['traffic_config']>>({
      routes: optional(
        listOf(objectOf<RouteView>({ served_model_name: text, traffic_percentage: number })),
      ),
    }),
  ),
});

/** @throws CliError (usage) that names the argument at fault. */
export function parseShares(args: readonly string[]): Share[] {
  const shares = args.map(parseShare);
  const names = shares.map(({ name }) => name);
  const twice = names.find((name, index) => names.indexOf(name) !== index);
  if (twice !== undefined) throw usage(`${twice} is given twice`);
  const sum = shares.reduce((total, { percent }) => total + percent, 0);
  if (sum !== 100) throw usage(`${formatShares(shares)} sums to ${String(sum)}, not 100`);
  return shares;
}

function parseShare(arg: string): Share {
  const [, name, digits] = /^([^=]+)=([0-9]{1,3})%?$/.exec(arg) ?? [];
  const percent = Number(digits);
  if (name === undefined || percent > 100) {
    throw usage(`${arg}: write NAME=PERCENT with an integer from 0 to 100, e.g. current=90`);
  }
  return { name, percent };
}

/** @throws CliError when a name is unknown or an entity with traffic is left out. */
export function planSplit(
  endpoint: string,
  config: ConfigView,
  wanted: readonly Share[],
): SplitPlan {
  const before = currentShares(config);
  const names = before.map(({ name }) => name);
  for (const { name } of wanted) {
    if (names.includes(name)) continue;
    const nearest = nearestOf(name, names);
    const hint = nearest === null ? '' : ` Did you mean ${nearest}?`;
    throw usage(`${endpoint} has no served entity ${name}; it has ${names.join(', ')}.${hint}`);
  }
  const after = before.map(({ name, percent }) => {
    const share = wanted.find((candidate) => candidate.name === name);
    if (share !== undefined) return share;
    if (percent === 0) return { name, percent };
    // Dropping it silently would be the one surprise that costs traffic.
    throw usage(
      `${name} has ${String(percent)} % now and is not named; add ${name}=0 to stop its traffic`,
    );
  });
  return { endpoint, before, after };
}

function currentShares(config: ConfigView): Share[] {
  const routes = config.traffic_config?.routes ?? [];
  return (config.served_entities ?? []).map(({ name }) => ({
    name,
    percent: routes.find((route) => route.served_model_name === name)?.traffic_percentage ?? 0,
  }));
}

export function toTrafficConfig(shares: readonly Share[]): object {
  return {
    routes: shares.map(({ name, percent }) => ({
      served_model_name: name,
      traffic_percentage: percent,
    })),
  };
}

/** The command that brings the old split back. */
export function splitBack(plan: SplitPlan): string {
  return `split ${plan.endpoint} ${formatShares(plan.before)}`;
}

function formatShares(shares: readonly Share[]): string {
  return shares.map(({ name, percent }) => `${name}=${String(percent)}`).join(' ');
}

export interface ObservedEntity {
  readonly name: string;
  readonly requests: number;
  /** Null without any request. */
  readonly share_percent: number | null;
  readonly errors: number;
}

/** Counters since `base`. One that went down belongs to a daemon that was started anew. */
export function observe(
  base: readonly EntityStatus[],
  now: readonly EntityStatus[],
): ObservedEntity[] {
  const since = (value: number, earlier: number): number =>
    value >= earlier ? value - earlier : value;
  const deltas = now.map((entity) => {
    const earlier = base.find((candidate) => candidate.name === entity.name);
    return {
      name: entity.name,
      requests: since(entity.requests, earlier?.requests ?? 0),
      errors: since(entity.errors, earlier?.errors ?? 0),
    };
  });
  const total = deltas.reduce((sum, { requests }) => sum + requests, 0);
  return deltas.map(({ name, requests, errors }) => ({
    name,
    requests,
    share_percent: total === 0 ? null : Math.round((requests / total) * 1000) / 10,
    errors,
  }));
}

function usage(message: string): CliError {
  return new CliError(message, '', EXIT_USAGE);
}
