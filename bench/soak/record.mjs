/** Everything the soak has seen, and the verdict on it. */

/** Requests in flight at a worker that is killed break off, and so do those that its clients send next. */
const KILL_WINDOW_MS = 2_000;
const DETAILS_MAX = 10;
/** What may be left of descriptors when everything is over: the admin port's own connections come and go. */
const DESCRIPTORS_SLACK = 5;
const GROWTH_MIB_MAX = 16;

export class Record {
  outcomes = new Map();
  unexplained = [];
  mismatches = [];
  stuck = 0;
  kills = 0;
  changes = 0;
  failedChanges = 0;
  badUploads = 0;
  samples = [];
  #killedAt = -Infinity;
  #lastCount = 0;

  note({ kind, steady, outcome, detail, tookMs, id }) {
    const key = `${kind} ${steady ? 'b' : 'split'}`;
    const row = this.outcomes.get(key) ?? { count: 0, slowestMs: 0 };
    row.count += 1;
    row[outcome] = (row[outcome] ?? 0) + 1;
    row.slowestMs = Math.max(row.slowestMs, tookMs);
    this.outcomes.set(key, row);
    if (outcome === 'stuck') this.stuck += 1;
    if (outcome === 'mismatch') this.mismatches.push(`${kind} ${id}: ${detail}`);
    // The other entity has a replica that comes and goes; behind this one only killed workers excuse a failure.
    const isFailure = outcome === 'refused' || outcome === 'broken';
    const isExcused = kind === 'reset' || performance.now() - this.#killedAt < KILL_WINDOW_MS;
    if (steady && isFailure && !isExcused)
      this.unexplained.push(`${kind} ${id}: ${outcome} ${detail}`);
  }

  noteKill() {
    this.kills += 1;
    this.#killedAt = performance.now();
  }

  get count() {
    return [...this.outcomes.values()].reduce((sum, { count }) => sum + count, 0);
  }

  progress(elapsedMs, figures) {
    const count = this.count;
    const fresh = count - this.#lastCount;
    this.#lastCount = count;
    const memory = figures.map(({ residentMiB }) => residentMiB.toFixed(0)).join('+');
    const descriptors = figures.map(({ descriptors }) => descriptors).join('+');
    console.log(
      `${String(Math.round(elapsedMs / 1_000)).padStart(5)} s  ${String(count).padStart(9)} requests ` +
        `(+${fresh})  mismatched ${this.mismatches.length}  stuck ${this.stuck}  ` +
        `unexplained ${this.unexplained.length}  kills ${this.kills}  changes ${this.changes}  ` +
        `RSS ${memory} MiB  descriptors ${descriptors}`,
    );
  }

  table() {
    const names = ['count', 'ok', 'refused', 'broken', 'left', 'mismatch', 'stuck', 'slowest ms'];
    console.log(`\n${'kind'.padEnd(16)}${names.map((name) => name.padStart(11)).join('')}`);
    for (const [key, row] of [...this.outcomes].sort(([one], [other]) => (one < other ? -1 : 1))) {
      const cells = names.map((name) =>
        String(name === 'slowest ms' ? row.slowestMs.toFixed(0) : (row[name] ?? 0)).padStart(11),
      );
      console.log(key.padEnd(16) + cells.join(''));
    }
    console.log('');
  }

  /** What is wrong, a line each; `before` and `after` are figures per process, without load. */
  verdict(before, after, exitCode) {
    const wrong = [];
    const many = (title, lines) => {
      if (lines.length === 0) return;
      wrong.push(`${lines.length} ${title}: ${lines.slice(0, DETAILS_MAX).join('; ')}`);
    };
    many('mismatched answers', this.mismatches);
    many('unexplained failures', this.unexplained);
    if (this.stuck > 0) wrong.push(`${this.stuck} stuck requests`);
    if (this.badUploads > 0) wrong.push(`${this.badUploads} uploads arrived wrong`);
    if (exitCode !== 0) wrong.push(`the daemon ended with ${exitCode}`);
    for (const [name, { descriptors }] of after) {
      const most = (before.get(name)?.descriptors ?? 0) + DESCRIPTORS_SLACK;
      if (descriptors > most)
        wrong.push(`${name} holds ${descriptors} descriptors, ${most} at most`);
    }
    for (const name of this.samples[0]?.keys() ?? []) {
      const grown = this.#growthMiB(name);
      console.log(`${name}: resident memory ${grown >= 0 ? '+' : ''}${grown.toFixed(1)} MiB`);
      if (grown > GROWTH_MIB_MAX) wrong.push(`${name} grew by ${grown.toFixed(1)} MiB`);
    }
    return wrong;
  }

  /** From the second quarter to the last, the least of each: what garbage collection gives back does not count. */
  #growthMiB(name) {
    const values = this.samples.map((sample) => sample.get(name)?.residentMiB ?? 0);
    const quarter = Math.max(1, Math.floor(values.length / 4));
    return Math.min(...values.slice(-quarter)) - Math.min(...values.slice(quarter, 2 * quarter));
  }
}
