/**
 * Prometheus text exposition (format 0.0.4) from numbers that were counted elsewhere. prom-client
 * counts in its own objects and cannot take over a counter's or histogram's value, and the data
 * plane's counters live in the workers; so these series are written here, and prom-client is left
 * the process's own.
 */

export type MetricType = 'counter' | 'gauge' | 'histogram';

export interface MetricSpec {
  readonly name: string;
  readonly type: MetricType;
  readonly help: string;
  readonly labels: readonly string[];
}

type Labels = readonly string[];

/** Collects lines family by family; a family without samples still shows HELP and TYPE. */
export class Exposition {
  readonly #lines: string[] = [];

  /**
   * Begins a family; samples that follow belong to it. `labels` of a sample are in the spec's
   * order.
   */
  family(spec: MetricSpec): Family {
    this.#lines.push(`# HELP ${spec.name} ${spec.help}`, `# TYPE ${spec.name} ${spec.type}`);
    return new Family(spec, this.#lines);
  }

  toText(): string {
    return `${this.#lines.join('\n')}\n`;
  }
}

class Family {
  readonly #spec: MetricSpec;
  readonly #lines: string[];

  constructor(spec: MetricSpec, lines: string[]) {
    this.#spec = spec;
    this.#lines = lines;
  }

  sample(labels: Labels, value: number): void {
    this.#write(this.#spec.name, labels, [], value);
  }

  /** `counts` per bucket, not cumulative, the last one for +Inf; `bounds` has one element less. */
  histogram(
    labels: Labels,
    bounds: readonly number[],
    counts: readonly number[],
    sum: number,
  ): void {
    const { name } = this.#spec;
    let total = 0;
    counts.forEach((count, index) => {
      total += count;
      const bound = bounds[index];
      const le = bound === undefined ? '+Inf' : String(bound);
      this.#write(`${name}_bucket`, labels, [['le', le]], total);
    });
    this.#write(`${name}_sum`, labels, [], sum);
    this.#write(`${name}_count`, labels, [], total);
  }

  #write(name: string, labels: Labels, more: readonly [string, string][], value: number): void {
    const pairs = this.#spec.labels.map((label, index): [string, string] => [
      label,
      labels[index] ?? '',
    ]);
    const text = [...pairs, ...more]
      .map(([label, of]) => `${label}="${escapeLabel(of)}"`)
      .join(',');
    this.#lines.push(`${name}${text === '' ? '' : `{${text}}`} ${String(value)}`);
  }
}

function escapeLabel(value: string): string {
  return value.replaceAll('\\', '\\\\').replaceAll('"', '\\"').replaceAll('\n', '\\n');
}
