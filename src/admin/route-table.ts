/**
 * The paths of the admin port and their methods, to tell a wrong method (405) from a wrong path
 * (404).
 */
import { PointsmanError } from '../core/errors.js';

/** A message repeats no more of a path than this. */
const SHOWN_CHARS_MAX = 1024;

interface Path {
  readonly pattern: RegExp;
  readonly methods: Set<string>;
}

export class RouteTable {
  readonly #paths = new Map<string, Path>();

  /** As fastify's onRoute hook reports them; `:name` matches one segment. */
  add(methods: string | readonly string[], url: string): void {
    const source = url
      .replace(/\/$/, '')
      .replaceAll(/[.*+?^${}()|[\]\\]/g, String.raw`\$&`)
      .replaceAll(/:\w+/g, '[^/]+');
    const path = this.#paths.get(url) ?? {
      pattern: new RegExp(`^${source}/?$`),
      methods: new Set(),
    };
    for (const method of [methods].flat()) path.methods.add(method);
    this.#paths.set(url, path);
  }

  /**
   * `GET /path` for every route, in the order in which they were added; without the HEAD of each
   * GET.
   */
  list(): string[] {
    return [...this.#paths].flatMap(([url, { methods }]) =>
      [...methods].filter((method) => method !== 'HEAD').map((method) => `${method} ${url}`),
    );
  }

  /** The error for a request that no route takes. */
  missing(method: string, url: string): PointsmanError {
    const path = (url.split('?', 1)[0] ?? url).slice(0, SHOWN_CHARS_MAX);
    const allowed = new Set<string>();
    for (const { pattern, methods } of this.#paths.values()) {
      if (pattern.test(path)) for (const name of methods) allowed.add(name);
    }
    if (allowed.size === 0) {
      return new PointsmanError('ENDPOINT_NOT_FOUND', `No such path on the admin port: ${path}`);
    }
    const allow = [...allowed].sort().join(', ');
    return new PointsmanError(
      'NOT_IMPLEMENTED',
      `${method} is not a method of ${path}; it takes ${allow}`,
      {
        status: 405,
        allow,
      },
    );
  }
}
