/**
 * Knows which addresses the replicas of every deployment have and how they are: resolves, probes,
 * and tells of changes. Readiness gate, views and snapshots read from here; nothing else talks to a
 * replica from the supervisor.
 *
 * An address is identified by its replica's URL and its IP, so that a change of a deployment keeps
 * the health of addresses that stay.
 */
import type { Clock } from '../core/clock.js';
import type { DeploymentInput } from '../config/manifest.js';
import { isRefusedAddress } from '../core/refused-addresses.js';
import { AddressHealth, type HealthState } from './address-health.js';
import type { ControlLogger } from './control-logger.js';
import type { ProbedAddress } from './control-plane.js';
import { HostBook, type HostMemory, type Resolve } from './host-book.js';
import type { Address } from './messages.js';
import { NO_VERDICT, type Probe, type ProbeTarget } from './probe.js';
import { servingSpec, type DeploymentRecord } from './records.js';
import { parseReplicaUrl, type ReplicaTarget } from './replica-url.js';
import { sameJson } from './json.js';
import { Slots } from './slots.js';

/** Probes under way at once; each holds a socket. */
const PROBES_IN_FLIGHT_MAX = 256;

/**
 * How long a change waits for the first look-up of a new host name; it goes on without an answer
 * then.
 */
const RESOLVE_BOUND_MS = 1_000;

/** Probes are up to this part early, so that many addresses do not fall into step; never late. */
const JITTER_PART = 0.1;

/** Replicas that a message names before it says how many more there are. */
const REPLICAS_NAMED_MAX = 3;

export interface DeploymentHealth {
  /** Some address with a weight is healthy. */
  readonly ready: boolean;
  /** Why not, as text about its replicas; empty while nothing is known. */
  readonly problem: string;
}

export interface ProberOptions {
  readonly clock: Clock;
  readonly resolve: Resolve;
  readonly probe: Probe;
  /** The addresses of a deployment, or the health of one, changed. */
  readonly onChange: (deployment: string) => void;
  readonly hostMemory: HostMemory;
  readonly logger: ControlLogger;
}

/** An address as it is known here; where it is counted is decided when a snapshot is compiled. */
export type PlainAddress = Omit<Address, 'statsSlot'>;

interface WatchedAddress {
  readonly target: ProbeTarget;
  readonly replicaUrl: string;
  readonly health: AddressHealth;
  /** Under whose spec it is probed. */
  owner: Watched;
  weight: number;
  cancel: () => void;
  abort: AbortController;
}

interface Watched {
  spec: DeploymentInput;
  hosts: readonly string[];
  addresses: Map<string, WatchedAddress>;
  /** Answer of `addressesFor` for `spec`; null after a change. */
  compiled: PlainAddress[] | null;
}

interface Candidate {
  readonly key: string;
  readonly target: ProbeTarget;
  readonly replicaUrl: string;
  readonly weight: number;
}

export class Prober {
  readonly #options: ProberOptions;
  readonly #hosts: HostBook;
  readonly #slots = new Slots(PROBES_IN_FLIGHT_MAX);
  /** What serves. */
  readonly #watched = new Map<string, Watched>();
  /** What is to take over. */
  readonly #waiting = new Map<string, Watched>();
  readonly #targets = new WeakMap<DeploymentInput, readonly ReplicaTarget[]>();
  readonly #probing = new Set<Promise<void>>();
  #stopped = false;

  constructor(options: ProberOptions) {
    this.#options = options;
    const { clock, resolve, hostMemory, logger } = options;
    this.#hosts = new HostBook({
      clock,
      resolve,
      memory: hostMemory,
      onFault: (problem) => {
        logger.warn({ problem }, 'host names of replicas');
      },
      onChange: (host) => {
        this.#hostChanged(host);
      },
    });
  }

  /** Has the host names of deployments looked up before a change makes them visible; bounded. */
  async prepare(deployments: Iterable<DeploymentRecord>): Promise<void> {
    const hosts = new Set<string>();
    for (const { spec } of deployments) for (const host of hostsOf(spec)) hosts.add(host);
    await this.#hosts.prepare(hosts, RESOLVE_BOUND_MS);
  }

  /** Starts or goes on watching a deployment under this record. */
  watch(record: DeploymentRecord): void {
    const { name, spec, serving } = record;
    if (serving !== undefined) {
      this.#follow(this.#watched, name, serving);
      this.#follow(this.#waiting, name, spec);
      return;
    }
    const waiting = this.#waiting.get(name);
    if (waiting !== undefined) this.#takeOver(name, waiting);
    this.#follow(this.#watched, name, spec);
    for (const host of waiting?.hosts ?? []) this.#hosts.release(host);
  }

  unwatch(name: string): void {
    for (const watches of [this.#watched, this.#waiting]) {
      const watched = watches.get(name);
      if (watched === undefined) continue;
      watches.delete(name);
      this.#forget(watched);
      for (const host of watched.hosts) this.#hosts.release(host);
    }
  }

  #follow(watches: Map<string, Watched>, name: string, spec: DeploymentInput): void {
    const before = watches.get(name);
    const hosts = hostsOf(spec);
    for (const host of hosts) this.#hosts.retain(host);
    for (const host of before?.hosts ?? []) this.#hosts.release(host);
    const watched: Watched = before ?? {
      spec,
      hosts,
      addresses: new Map(),
      compiled: null,
    };
    const probesAnew = before !== undefined && !sameProbes(before.spec, spec);
    watched.spec = spec;
    watched.hosts = hosts;
    watches.set(name, watched);
    if (probesAnew) this.#probeAnew(name, watched);
    this.#syncAddresses(name, watched);
    // A name may have been answered since the snapshot was compiled, when nobody listened.
    if (before === undefined && hosts.length > 0) this.#options.onChange(name);
  }

  /** What was found of the addresses that waited is known of those that serve. */
  #takeOver(name: string, waiting: Watched): void {
    this.#waiting.delete(name);
    const watched = this.#watched.get(name);
    if (watched === undefined) return;
    for (const [key, address] of waiting.addresses) {
      const before = watched.addresses.get(key);
      if (before !== undefined) end(before);
      watched.addresses.set(key, address);
      address.owner = watched;
    }
  }

  /** Forgets host names of before the start that nobody uses; to be called once all deployments are watched. */
  forgetUnusedHosts(): void {
    this.#hosts.forgetUnused();
  }

  /** Ends what `prepare` began for changes that were refused. */
  prune(): void {
    this.#hosts.prune();
  }

  /**
   * The addresses that a snapshot with this record would hold now. Unprobed addresses count as
   * ready as long as no address of the deployment is known to be: after a restart everything serves
   * at once, while an address that joins a serving deployment takes traffic only after its first
   * probe, and other addresses only by a hand-over (hand-over.ts). The same array as long as nothing
   * changes.
   */
  addressesFor(record: DeploymentRecord): PlainAddress[] {
    const spec = servingSpec(record);
    const watched = this.#watched.get(record.name);
    if (watched?.spec !== spec) return this.#compile(spec, this.#known(record.name, spec));
    watched.compiled ??= this.#compile(spec, watched.addresses);
    return watched.compiled;
  }

  /**
   * Whether a deployment would be ready under this record, by what is known of its addresses now.
   */
  readyUnder(record: DeploymentRecord): boolean {
    return this.#isReady(record.name, servingSpec(record));
  }

  /**
   * Whether a record's spec can serve in the place of another one. What is asked for is done at once
   * when nothing is lost by it: replicas that are all drained, or fewer of those that do not serve.
   */
  canTakeOver({ name, spec }: DeploymentRecord, serving: DeploymentInput): boolean {
    const next = weightedUrls(spec);
    if (next.length === 0 || this.#isReady(name, spec)) return true;
    const before = weightedUrls(serving);
    return next.every((url) => before.includes(url)) && !this.#isReady(name, serving);
  }

  /** Of what serves. */
  health(name: string): DeploymentHealth {
    return this.#healthOf(this.#watched.get(name));
  }

  /** Of what is to take over. */
  healthOfWaiting(name: string): DeploymentHealth {
    return this.#healthOf(this.#waiting.get(name));
  }

  /** The addresses that serve, then those that are to take over. */
  status(name: string): ProbedAddress[] {
    const serving = this.#rows(this.#watched.get(name));
    const shown = new Set(serving.map(rowKey));
    const waiting = this.#rows(this.#waiting.get(name));
    return [...serving, ...waiting.filter((row) => !shown.has(rowKey(row)))];
  }

  #rows(watched: Watched | undefined): ProbedAddress[] {
    if (watched === undefined) return [];
    const rows = [...watched.addresses.values()].map((address) => ({
      address: addressText(address.target),
      replica_url: address.replicaUrl,
      weight: address.weight,
      state: address.weight === 0 ? ('DRAINING' as const) : address.health.state,
      since: address.health.sinceMs,
      last_error: address.health.lastError,
    }));
    return [...rows, ...this.#unresolved(watched)];
  }

  /** Ends every probe and timer; resolves when none is under way. */
  async stop(): Promise<void> {
    this.#stopped = true;
    this.#hosts.stop();
    for (const name of [...this.#watched.keys()]) this.unwatch(name);
    await Promise.all(this.#probing);
  }

  #healthOf(watched: Watched | undefined): DeploymentHealth {
    if (watched === undefined) return { ready: false, problem: '' };
    const weighted = [...watched.addresses.values()].filter((address) => address.weight > 0);
    if (weighted.some((address) => address.health.state === 'READY')) {
      return { ready: true, problem: '' };
    }
    return { ready: false, problem: problemOf(watched, this.#hosts) };
  }

  /** What is known of a deployment's addresses under a spec, which need not be watched yet. */
  #known(name: string, spec: DeploymentInput): ReadonlyMap<string, WatchedAddress> {
    const serving = this.#watched.get(name);
    const waiting = this.#waiting.get(name);
    if (serving === undefined) return new Map();
    if (waiting === undefined || serving.spec === spec) return serving.addresses;
    return new Map([...serving.addresses, ...waiting.addresses]);
  }

  #isReady(name: string, spec: DeploymentInput): boolean {
    const known = this.#known(name, spec);
    return this.#candidates(spec).some(
      ({ key, weight }) => weight > 0 && known.get(key)?.health.state === 'READY',
    );
  }

  #compile(spec: DeploymentInput, known: ReadonlyMap<string, WatchedAddress>): PlainAddress[] {
    const candidates = this.#candidates(spec);
    const healthOf = (candidate: Candidate) => known.get(candidate.key)?.health;
    const stateOf = (candidate: Candidate) => healthOf(candidate)?.state ?? 'UNKNOWN';
    const someReady = candidates.some((one) => one.weight > 0 && stateOf(one) === 'READY');
    return candidates.map((candidate) => {
      const state = stateOf(candidate);
      return {
        host: candidate.target.host,
        port: candidate.target.port,
        authority: candidate.target.authority,
        basePath: candidate.target.basePath,
        weight: candidate.weight,
        ready: state === 'READY' || (state === 'UNKNOWN' && !someReady),
        recoveredAtMs: healthOf(candidate)?.recoveredAtMs ?? 0,
      };
    });
  }

  #unresolved(watched: Watched): ProbedAddress[] {
    return watched.spec.replicas
      .filter(({ url }) => this.#hosts.failed(targetOf(url).host))
      .map(({ url, weight }) => ({
        address: '',
        replica_url: url,
        weight,
        state: 'DOWN' as const,
        since: 0,
        last_error: hostProblem(this.#hosts, targetOf(url).host),
      }));
  }

  #candidates(spec: DeploymentInput): Candidate[] {
    const seen = new Set<string>();
    const candidates: Candidate[] = [];
    const targets = this.#targets.get(spec) ?? spec.replicas.map(({ url }) => targetOf(url));
    this.#targets.set(spec, targets);
    for (const [index, target] of targets.entries()) {
      const { url, weight } = spec.replicas[index] ?? { url: '', weight: 0 };
      const literal = isRefusedAddress(target.host) ? [] : [target.host];
      const ips = target.literal ? literal : this.#hosts.addresses(target.host);
      for (const ip of ips) {
        const socket = `${ip} ${String(target.port)} ${target.basePath}`;
        // Two names of one socket would count it twice in the choice of an address.
        if (seen.has(socket)) continue;
        seen.add(socket);
        const { port, authority, basePath } = target;
        candidates.push({
          key: `${url} ${ip}`,
          target: { host: ip, port, authority, basePath },
          replicaUrl: url,
          weight,
        });
      }
    }
    return candidates;
  }

  #hostChanged(host: string): void {
    for (const [name, watched] of [...this.#watched, ...this.#waiting]) {
      if (!watched.hosts.includes(host)) continue;
      this.#syncAddresses(name, watched);
      this.#options.onChange(name);
    }
  }

  #syncAddresses(name: string, watched: Watched): void {
    const next = new Map<string, WatchedAddress>();
    const fresh: WatchedAddress[] = [];
    for (const { key, target, replicaUrl, weight } of this.#candidates(watched.spec)) {
      const known = watched.addresses.get(key);
      if (known !== undefined) {
        known.weight = weight;
        next.set(key, known);
        continue;
      }
      const address: WatchedAddress = {
        target,
        replicaUrl,
        health: new AddressHealth(this.#options.clock.nowMs()),
        owner: watched,
        weight,
        cancel: () => undefined,
        abort: new AbortController(),
      };
      next.set(key, address);
      fresh.push(address);
    }
    for (const [key, address] of watched.addresses) if (!next.has(key)) end(address);
    watched.addresses = next;
    watched.compiled = null;
    for (const address of fresh) this.#begin(name, address);
  }

  /** By other rules: what was found by the ones before stands until there is a verdict by these. */
  #probeAnew(name: string, watched: Watched): void {
    for (const address of watched.addresses.values()) {
      end(address);
      address.abort = new AbortController();
      address.health.restart();
      this.#begin(name, address);
    }
  }

  #forget(watched: Watched): void {
    for (const address of watched.addresses.values()) end(address);
    watched.addresses = new Map();
    watched.compiled = null;
  }

  #begin(name: string, address: WatchedAddress): void {
    const running = this.#probeOnce(name, address).finally(() => {
      this.#probing.delete(running);
    });
    this.#probing.add(running);
  }

  async #probeOnce(name: string, address: WatchedAddress): Promise<void> {
    const { clock, probe } = this.#options;
    const { signal } = address.abort;
    let startedMs = clock.nowMs();
    const found = await this.#slots.run(async () => {
      if (signal.aborted) return null;
      startedMs = clock.nowMs();
      return probe(address.target, address.owner.spec, signal);
    });
    if (this.#stopped || signal.aborted) return;
    const { health } = address.owner.spec;
    const intervalMs = Math.floor(health.interval_ms * (1 - JITTER_PART * Math.random()));
    // The clock may have been set back while the probe was under way.
    const delayMs = Math.min(intervalMs, Math.max(0, intervalMs - (clock.nowMs() - startedMs)));
    address.cancel = clock.after(delayMs, () => {
      this.#begin(name, address);
    });
    const { state: before } = address.health;
    // The state stays as it is: a want of this host's would take every replica out of service.
    if (found === NO_VERDICT || !address.health.record(found, health, clock.nowMs())) return;
    this.#log(name, address, before);
    address.owner.compiled = null;
    this.#options.onChange(name);
  }

  /** What was to be expected, an address that is ready at last, is no line: there may be thousands at a start. */
  #log(
    deployment: string,
    { target, replicaUrl, health }: WatchedAddress,
    before: HealthState,
  ): void {
    const fields = { deployment, replica: replicaUrl, address: addressText(target) };
    const { logger } = this.#options;
    if (health.state === 'DOWN')
      logger.warn({ ...fields, problem: health.lastError }, 'replica down');
    else if (before === 'DOWN') logger.info(fields, 'replica up again');
  }
}

const UNRESOLVED = 'has a host name that does not resolve';
const REFUSED = 'has a host name of link-local, metadata or hostless addresses only';

function hostProblem(hosts: HostBook, host: string): string {
  return hosts.refused(host) ? REFUSED : UNRESOLVED;
}

function problemOf(watched: Watched, hosts: HostBook): string {
  const problems: string[] = [];
  for (const { url, weight } of watched.spec.replicas) {
    if (weight === 0) continue;
    const found = [...watched.addresses.values()].find(
      (address) => address.replicaUrl === url && address.health.lastError !== '',
    );
    const { host } = targetOf(url);
    const problem = hosts.failed(host) ? hostProblem(hosts, host) : found?.health.lastError;
    if (problem !== undefined) problems.push(`replica ${url} ${problem}`);
  }
  if (watched.spec.replicas.every(({ weight }) => weight === 0))
    return 'every replica has weight 0';
  const more = problems.length - REPLICAS_NAMED_MAX;
  const named = problems.slice(0, REPLICAS_NAMED_MAX).join('; ');
  return more > 0 ? `${named}; and ${String(more)} more` : named;
}

function weightedUrls({ replicas }: DeploymentInput): string[] {
  return replicas.filter(({ weight }) => weight > 0).map(({ url }) => url);
}

function rowKey(row: ProbedAddress): string {
  return `${row.replica_url} ${row.address}`;
}

function end(address: WatchedAddress): void {
  address.cancel();
  address.abort.abort();
}

function sameProbes(a: DeploymentInput, b: DeploymentInput): boolean {
  return sameJson([a.health, a.headers], [b.health, b.headers]);
}

/** URLs of stored records were validated when they came in. */
function targetOf(url: string): ReplicaTarget {
  return parseReplicaUrl(url, 'url');
}

function hostsOf(spec: DeploymentInput): string[] {
  const targets = spec.replicas.map(({ url }) => targetOf(url));
  return [...new Set(targets.filter(({ literal }) => !literal).map(({ host }) => host))];
}

export function addressText({ host, port }: Pick<Address, 'host' | 'port'>): string {
  if (port === 0) return host;
  return host.includes(':') ? `[${host}]:${String(port)}` : `${host}:${String(port)}`;
}
