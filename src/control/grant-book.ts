/**
 * The grants of all endpoints, read and changed through the control plane's queue. Tells listeners
 * when an endpoint's grants are others than before, after the change is on disk.
 */
import { PointsmanError } from '../core/errors.js';
import type { Draft } from './content.js';
import { endpointDraft } from './content.js';
import type { ChangeOptions } from './control-plane.js';
import { grantsOf, type GrantRecord } from './grants.js';
import { canonicalJson, checkIfMatch, hashTag, sameJson } from './json.js';
import type { Content, EndpointRecord } from './records.js';

export interface EndpointGrants {
  readonly id: string;
  readonly name: string;
  readonly grants: readonly GrantRecord[];
}

/** What the book needs of the control plane. */
export interface GrantHost {
  content(): Content;
  exclusive<T>(task: () => Promise<T>): Promise<T>;
  commit(draft: Draft, principal: string, summary: string): Promise<void>;
}

export class GrantBook {
  readonly #host: GrantHost;
  readonly #listeners: ((endpointIds: readonly string[]) => void)[] = [];
  /** By id; made once per set of endpoints. */
  readonly #byId = new WeakMap<Content['endpoints'], ReadonlyMap<string, EndpointRecord>>();

  constructor(host: GrantHost) {
    this.#host = host;
  }

  /** By id, else by name; null: there is no such endpoint. */
  of(endpoint: string): EndpointGrants | null {
    const record = this.#record(endpoint);
    return record === null ? null : viewOf(record);
  }

  /** By name alone: for paths that name endpoints. */
  named(name: string): EndpointGrants | null {
    const record = this.#host.content().endpoints.get(name);
    return record === undefined ? null : viewOf(record);
  }

  /**
   * @param next the grants after the change, of those before it.
   * @throws PointsmanError RESOURCE_DOES_NOT_EXIST, RESOURCE_CONFLICT
   */
  change(
    endpoint: string,
    next: (grants: readonly GrantRecord[]) => readonly GrantRecord[],
    options: ChangeOptions,
  ): Promise<EndpointGrants> {
    return this.#host.exclusive(async () => {
      const record = this.#record(endpoint);
      if (record === null) {
        throw new PointsmanError('RESOURCE_DOES_NOT_EXIST', `Endpoint ${endpoint} does not exist.`);
      }
      const etag = grantsEtag(viewOf(record));
      checkIfMatch(options.ifMatch, etag, `The permissions of endpoint ${record.name}`);
      const grants = next(grantsOf(record));
      if (sameJson(grants, grantsOf(record))) return viewOf(record);
      const changed = { ...record, grants };
      const summary = `permissions of endpoint ${record.name}`;
      await this.#host.commit(endpointDraft([changed]), options.principal, summary);
      return viewOf(changed);
    });
  }

  /** Called after every change of grants, with the endpoints' ids; deleted endpoints included. */
  onChange(listener: (endpointIds: readonly string[]) => void): void {
    this.#listeners.push(listener);
  }

  /** To be called when a draft has become the content. */
  committed(draft: Draft, before: Content): void {
    const changed: string[] = [];
    for (const [name, record] of draft.endpoints) {
      const old = before.endpoints.get(name);
      if (old === undefined || old.grants === record?.grants) continue;
      if (record === null || !sameJson(grantsOf(old), grantsOf(record))) changed.push(old.id);
    }
    if (changed.length > 0) for (const listener of this.#listeners) listener(changed);
  }

  #record(endpoint: string): EndpointRecord | null {
    const { endpoints } = this.#host.content();
    let byId = this.#byId.get(endpoints);
    if (byId === undefined) {
      byId = new Map([...endpoints.values()].map((record) => [record.id, record]));
      this.#byId.set(endpoints, byId);
    }
    return byId.get(endpoint) ?? endpoints.get(endpoint) ?? null;
  }
}

/** Other than the endpoint's own: neither changes with the other. */
export function grantsEtag({ id, grants }: EndpointGrants): string {
  return hashTag(canonicalJson({ id, grants }));
}

function viewOf(record: EndpointRecord): EndpointGrants {
  return { id: record.id, name: record.name, grants: grantsOf(record) };
}
