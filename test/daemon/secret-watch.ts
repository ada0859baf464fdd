/**
 * Watches one daemon of a test for secrets that come out where they must not: what it prints, its metrics, errors and
 * other answers, its state directory, arguments and environment of its processes. Every daemon of the suite has one;
 * the test fails with what it has found.
 */
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { CREDENTIAL_FILES, SecretScan } from './secret-scan.js';

const METRICS_TIMEOUT_MS = 2_000;
const SECRET_VARIABLE = /TOKEN|KEY|SECRET/;
const SECRET_FIELD = /authorization|cookie|key|token|secret/i;

/** Calls whose answer is a secret, shown once to whoever asked for it. */
const HANDS_OUT =
  /\/token\/create$|\/on-behalf-of\/tokens$|\/credentials\/secrets$|\/oidc\/v1\/token$/;

export class SecretWatch {
  readonly #stateDir: string;
  readonly #given: readonly string[];
  readonly #scan = new SecretScan();
  /** Header values of deployments: admins may read them back, nobody else. */
  readonly #headers = new SecretScan();
  readonly #found = new Set<string>();

  /** `env`: what the daemon was given beside the environment of the test. */
  constructor(stateDir: string, env: Readonly<Record<string, string>>) {
    this.#stateDir = stateDir;
    const given = Object.entries(env).filter(([name]) => SECRET_VARIABLE.test(name));
    this.#given = given.map(([, value]) => value);
    for (const [name, value] of given) this.#scan.add(`the variable ${name}`, value);
  }

  /** When the credential files are there. */
  started(pid: number): void {
    for (const name of CREDENTIAL_FILES) {
      const text = readCredential(path.join(this.#stateDir, name));
      this.#scan.add(`the content of ${name}`, text);
    }
    this.#lookAtProcesses(pid);
  }

  /** A management call: what was sent may hold secrets, what came back may not. */
  onCall(route: string, body: unknown, status: number, head: Headers, text: string): void {
    for (const value of headerValuesOf(body)) this.#headers.add('a header of a deployment', value);
    const fields = [...head].map(([name, value]) => `${name}: ${value}`).join('\n');
    const shown = status < 300 && HANDS_OUT.test(route) ? fields : `${fields}\n${text}`;
    this.#add(this.#scan.leaks(shown, `answer ${String(status)} of ${route}`));
  }

  /** The end of the daemon, which may have ended before: what was found over its life; null: nothing. */
  async finish(
    pid: number | null,
    adminUrl: string,
    output: readonly string[],
  ): Promise<Error | null> {
    if (pid !== null) {
      this.#lookAtProcesses(pid);
      this.#lookAt(await metricsOf(adminUrl), 'metrics');
    }
    this.#lookAt(output.join('\n'), 'output');
    try {
      this.#add(this.#scan.leaksInFiles(this.#stateDir));
    } catch (error) {
      // A test may have taken the directory away.
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
    }
    if (this.#found.size === 0) return null;
    return new Error(`secrets came out:\n${[...this.#found].join('\n')}`);
  }

  #lookAt(text: string, where: string): void {
    this.#add([...this.#scan.leaks(text, where), ...this.#headers.leaks(text, where)]);
  }

  #lookAtProcesses(pid: number): void {
    this.#add(this.#scan.leaksInProcess(pid, this.#given));
    this.#add(this.#headers.leaksInProcess(pid, this.#given));
  }

  #add(leaks: readonly string[]): void {
    for (const leak of leaks) this.#found.add(leak);
  }
}

/** Empty when there is no such file: POINTSMAN_MASTER_KEY stands for it. */
function readCredential(file: string): string {
  try {
    return readFileSync(file, 'latin1').trim();
  } catch {
    return '';
  }
}

/** Empty when the daemon does not answer: a test may have stopped it. */
async function metricsOf(adminUrl: string): Promise<string> {
  try {
    const signal = AbortSignal.timeout(METRICS_TIMEOUT_MS);
    return await (await fetch(`${adminUrl}/metrics`, { signal })).text();
  } catch {
    return '';
  }
}

/** Of a deployment or of a manifest's, where the field's name says that the value is a secret. */
function headerValuesOf(body: unknown): string[] {
  const { headers, deployments } = (body ?? {}) as { headers?: object; deployments?: unknown };
  const own = Object.entries(headers ?? {}) as [string, unknown][];
  const values = own.flatMap(([name, value]) =>
    SECRET_FIELD.test(name) && typeof value === 'string' ? [value] : [],
  );
  return Array.isArray(deployments) ? [...values, ...deployments.flatMap(headerValuesOf)] : values;
}
