/**
 * Runs scenarios: starts their targets, measures in interleaved rounds, ends the targets.
 *
 * Rounds are interleaved, each begins with the next target and every second one goes backwards (A B C, A C B, C A B, …),
 * so that a machine that becomes slower in the middle makes all of them slower, and none always comes behind the same
 * other.
 * Every measurement is preceded by a warm-up whose answers are checked byte by byte.
 */
import { BenchError } from './bench-error.mjs';
import { direct } from './peers/direct.mjs';
import { judge } from './limits.mjs';
import { pointsman } from './peers/pointsman.mjs';
import { warmUp } from './measures.mjs';
import { formatValue, METRICS } from './metrics.mjs';

/** In a line of progress. */
const SHOWN_METRICS = 3;

export class Runner {
  #context;
  #progress;
  #done = 0;
  #planned = 0;
  #startedAt = Date.now();

  /**
   * `context`: { cores, programs, ports, rounds, seconds, warmSeconds, firstWarmSeconds, peers, issuer }; `issuer` is
   * a function that answers the issuer of tokens, made when it is first wanted.
   * `progress(line)` is called while it runs.
   */
  constructor(context, progress) {
    this.#context = context;
    this.#progress = progress;
  }

  /** Answers `{ cases, failures }`; a target that fails is left out of the rest of its case. */
  async run(scenarios) {
    const cases = [];
    const failures = [];
    for (const scenario of scenarios) {
      const measurements = scenario.cases.length * this.#targetNames(scenario).length;
      this.#planned += measurements * this.#roundsOf(scenario);
    }
    for (const scenario of scenarios) {
      this.#progress(`${scenario.name}: ${scenario.title}`);
      const targets = await this.#startTargets(scenario, failures);
      try {
        for (const one of scenario.cases) {
          cases.push(...(await this.#runCase(scenario, one, targets, failures)));
        }
        await this.#noteDoors(cases, targets);
      } finally {
        const started = new Set(targets.map((target) => target.started));
        await Promise.all([...started].map((one) => one.stop()));
      }
    }
    return { cases, failures };
  }

  #roundsOf(scenario) {
    return Math.min(this.#context.rounds, scenario.roundsMax ?? Infinity);
  }

  #targetNames(scenario) {
    if (scenario.targets !== undefined) return scenario.targets.map(({ name }) => name);
    const peers = this.#context.peers.map(({ name }) => name);
    return [pointsman.name, ...peers, ...(scenario.withDirect ? [direct.name] : [])];
  }

  async #startTargets(scenario, failures) {
    const { ports, cores, issuer } = this.#context;
    const context = {
      cores: scenario.isOnOneCore === true ? { ...cores, support: cores.proxy } : cores,
      workload: scenario.workload,
      ports: ports[scenario.workload],
      issuer,
    };
    const targets = [];
    const add = async (name, fields, launch) => {
      try {
        targets.push({ name, fields, started: await launch() });
      } catch (error) {
        if (!(error instanceof BenchError)) throw error;
        this.#fail(failures, { scenario: scenario.name, target: name, message: error.message });
      }
    };
    let shared = null;
    for (const { name, variant, daemon, proxy = pointsman, ...fields } of scenario.targets ?? []) {
      await add(name, fields, async () => {
        if (daemon === 'shared' && shared !== null) return shared;
        const started = await proxy.start({ ...context, variant });
        if (daemon === 'shared') shared = started;
        return started;
      });
    }
    if (scenario.targets !== undefined) return targets;
    for (const peer of [
      pointsman,
      ...this.#context.peers,
      ...(scenario.withDirect ? [direct] : []),
    ]) {
      await add(peer.name, {}, () => peer.start(context));
    }
    return targets;
  }

  async #runCase(scenario, one, targets, failures) {
    const rounds = new Map(targets.map(({ name }) => [name, []]));
    const alive = new Set(targets);
    for (let round = 1; round <= this.#roundsOf(scenario); round += 1) {
      const values = {};
      for (const target of orderOf(targets, round)) {
        this.#done += 1;
        if (!alive.has(target)) continue;
        try {
          values[target.name] = await this.#measure(scenario, one, target, round);
          this.#say(one, `${round}/${this.#roundsOf(scenario)}`, target.name, values[target.name]);
        } catch (error) {
          // Expected are answers that were wrong and processes that are gone; the rest is a fault of the suite.
          if (!(error instanceof BenchError) && error.code === undefined) throw error;
          alive.delete(target);
          const { message } = error;
          this.#fail(failures, {
            scenario: scenario.name,
            case: one.name,
            target: target.name,
            message,
          });
        }
      }
      scenario.afterRound?.(values);
      for (const [name, measured] of Object.entries(values)) {
        rounds.get(name).push(measured);
      }
    }
    const entries = targets
      .filter((target) => alive.has(target))
      .map(({ name }) => ({
        scenario: scenario.name,
        title: scenario.title,
        case: one.name,
        case_title: one.title,
        target: name,
        metrics: byMetric(rounds.get(name)),
      }));
    judge(entries, [...(scenario.limits ?? []), ...(one.limits ?? [])]);
    return entries;
  }

  async #measure(scenario, one, target, round) {
    const { cores, programs, issuer, warmSeconds, firstWarmSeconds } = this.#context;
    const { isOneEndpoint, seconds = this.#context.seconds, ...load } = one;
    const run = {
      ...load,
      ...target.fields,
      target: target.started,
      cores,
      programs,
      issuer,
      workload: scenario.workload,
    };
    if (isOneEndpoint === true) run.endpoints = 1;
    await warmUp({ ...run, seconds: round === 1 ? firstWarmSeconds : warmSeconds });
    return scenario.measure({ ...run, seconds });
  }

  /** pointsman's own count of which of its doors served the requests of a scenario. */
  async #noteDoors(cases, targets) {
    for (const { name, started } of targets) {
      if (started.answersByDoor === undefined) continue;
      const doors = await started.answersByDoor();
      for (const one of cases) {
        if (one.target === name && one.doors === undefined) one.doors = doors;
      }
    }
  }

  #fail(failures, failure) {
    failures.push(failure);
    failure.message = failure.message.replaceAll(/\s*\n\s*/g, ' | ');
    this.#progress(`  ${failure.target}: FAILED: ${failure.message}`);
  }

  #say(one, round, name, measured) {
    const shown = Object.keys(METRICS)
      .filter((metric) => measured[metric] !== undefined)
      .slice(0, SHOWN_METRICS)
      .map((metric) => {
        const { label, unit } = METRICS[metric];
        return `${label} ${formatValue(metric, measured[metric])} ${unit}`;
      });
    const restMs = ((Date.now() - this.#startedAt) / this.#done) * (this.#planned - this.#done);
    const core =
      measured.core_busy === undefined
        ? ''
        : `, core ${formatValue('core_busy', measured.core_busy)} % busy`;
    this.#progress(
      `  ${one.name} ${round} ${name.padEnd(15)} ${shown.join(', ')}${core}` +
        `  (${formatRest(restMs)} left)`,
    );
  }
}

/** In which order the targets are measured in a round (1-based). */
function orderOf(targets, round) {
  const first = (round - 1) % targets.length;
  const turned = [...targets.slice(first), ...targets.slice(0, first)];
  return round % 2 === 1 ? turned : turned.reverse();
}

/** From a list of values by metric to a list of values per metric. */
function byMetric(rounds) {
  const metrics = {};
  for (const round of rounds) {
    for (const [metric, value] of Object.entries(round)) {
      (metrics[metric] ??= { rounds: [] }).rounds.push(Math.round(value * 1e4) / 1e4);
    }
  }
  return metrics;
}

function formatRest(ms) {
  const seconds = Math.max(0, Math.round(ms / 1_000));
  return seconds < 90 ? `${seconds} s` : `${Math.round(seconds / 60)} min`;
}
