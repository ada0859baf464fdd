/**
 * What is measured: label, unit, which direction is better ('' for what only explains the others) and how many digits
 * are worth showing.
 */
export const METRICS = {
  cpu_us_per_request: { label: 'CPU per request', unit: 'µs', better: 'lower', digits: 2 },
  user_us_per_request: { label: 'CPU in user space', unit: 'µs', better: 'lower', digits: 2 },
  requests_per_second: { label: 'requests per second', unit: '/s', better: '', digits: 0 },
  mib_per_cpu_second: { label: 'MiB per CPU second', unit: '', better: 'higher', digits: 0 },
  p50_us: { label: 'p50', unit: 'µs', better: 'lower', digits: 0 },
  p99_us: { label: 'p99', unit: 'µs', better: 'lower', digits: 0 },
  p999_us: { label: 'p99.9', unit: 'µs', better: 'lower', digits: 0 },
  late_p99_us: { label: 'generator late, p99', unit: 'µs', better: '', digits: 0 },
  cpu_us_per_event: { label: 'CPU per event', unit: 'µs', better: 'lower', digits: 2 },
  delay_p50_us: { label: 'delay, p50', unit: 'µs', better: '', digits: 0 },
  added_p50_us: { label: 'added delay, p50', unit: 'µs', better: 'lower', digits: 0 },
  added_p99_us: { label: 'added delay, p99', unit: 'µs', better: 'lower', digits: 0 },
  delay_p99_us: { label: 'delay, p99', unit: 'µs', better: '', digits: 0 },
  events_per_second: { label: 'events per second', unit: '/s', better: '', digits: 0 },
  push_ms: { label: 'push, median', unit: 'ms', better: 'lower', digits: 1 },
  pushes: { label: 'pushes', unit: '', better: '', digits: 0 },
  refused_per_second: { label: 'bad tokens refused', unit: '/s', better: '', digits: 0 },
  busy_percent: { label: 'refused with 503', unit: '%', better: '', digits: 1 },
  others_per_second: { label: 'requests of the crowd', unit: '/s', better: '', digits: 0 },
  distinct_tokens: { label: 'distinct tokens', unit: '', better: '', digits: 0 },
  worker_before_mib: { label: 'worker before', unit: 'MiB', better: '', digits: 0 },
  worker_halfway_mib: { label: 'worker halfway', unit: 'MiB', better: '', digits: 0 },
  worker_after_mib: { label: 'worker after', unit: 'MiB', better: 'lower', digits: 0 },
  worker_growth_mib: { label: 'worker, second half', unit: 'MiB', better: '', digits: 0 },
  supervisor_before_mib: { label: 'supervisor before', unit: 'MiB', better: '', digits: 0 },
  supervisor_after_mib: { label: 'supervisor after', unit: 'MiB', better: 'lower', digits: 0 },
  supervisor_growth_mib: { label: 'supervisor, second half', unit: 'MiB', better: '', digits: 0 },
  ns_per_operation: { label: 'time per operation', unit: 'ns', better: 'lower', digits: 1 },
  core_busy: { label: 'proxy core busy', unit: '%', better: '', digits: 0 },
  core_foreign: { label: 'busy with others', unit: '%', better: '', digits: 0 },
  core_stolen: { label: 'taken by the host', unit: '%', better: '', digits: 0 },
};

/** Above this a figure of a closed loop is not that of a core of one's own. */
export const FOREIGN_PERCENT_MAX = 5;

export function formatValue(metric, value) {
  return value.toFixed(METRICS[metric].digits);
}

/** @param {readonly number[]} values not empty */
export function median(values) {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}
