/**
 * Looks for secrets where none may be. Two ways to know one: by its shape (tokens and secrets of ours have prefixes,
 * signed tokens and private keys their own form), and by having been told of it (SecretScan.add).
 *
 * What it finds it names by kind and place; the secret itself is not repeated.
 */
import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';

/** A part of a secret is a leak as well; shorter parts say nothing. */
const SHAPES: readonly (readonly [kind: string, shape: RegExp])[] = [
  ['a personal access token', /dapi[0-9a-f]{12}/],
  ['a client secret', /dose[0-9a-f]{12}/],
  ['a private key', /-----BEGIN [A-Z ]*PRIVATE KEY|"d" ?: ?"[\w-]{16}/],
  ['a credential', /\b(?:bearer|basic) +[\w+/=.~-]{16}/i],
];

/** What a signed token begins with, 18 bytes of a JSON object. Sealed keys have such letters by chance, but not such bytes. */
const JSON_START = /eyJ[\w-]{21}/g;
const PRINTABLE = /^[\x20-\x7e]+$/;

/** Anything shorter turns up by chance. */
const SECRET_CHARS_MIN = 12;

/** Files of the state directory that are there to hold one secret as it is. */
export const CREDENTIAL_FILES = ['admin-token', 'query-token', 'master-key'] as const;

export class SecretScan {
  /** Spellings of a secret, with what it is. */
  readonly #known = new Map<string, string>();

  add(kind: string, secret: string): void {
    if (secret.length < SECRET_CHARS_MIN) return;
    const bytes = Buffer.from(secret);
    this.#known.set(encodeURIComponent(secret), `${kind}, percent-encoded`);
    this.#known.set(bytes.toString('hex'), `${kind}, in hexadecimal`);
    // Whatever stands before it shifts the letters of base64: a middle part of each of the three spellings.
    for (const lead of [0, 1, 2]) {
      const shifted = Buffer.concat([Buffer.alloc(lead), bytes]).toString('base64url');
      const inner = shifted.slice(4, shifted.length - 4);
      if (inner.length < SECRET_CHARS_MIN) continue;
      this.#known.set(inner, `${kind}, in base64url`);
      const standard = inner.replaceAll('-', '+').replaceAll('_', '/');
      this.#known.set(standard, `${kind}, in base64`);
    }
    // Last: some of the others may be the same.
    this.#known.set(secret, kind);
  }

  /** One sentence per kind of secret that the text holds. */
  leaks(text: string, where: string): string[] {
    const found = new Set<string>();
    for (const [kind, shape] of SHAPES) if (shape.test(text)) found.add(kind);
    for (const [letters] of text.matchAll(JSON_START)) {
      const bytes = Buffer.from(letters, 'base64url').toString('latin1');
      if (PRINTABLE.test(bytes)) found.add('a signed token');
    }
    for (const [secret, kind] of this.#known) if (text.includes(secret)) found.add(kind);
    return [...found].map((kind) => `${where}: ${kind}`);
  }

  /** Files of a state directory, but for those that are there to hold secrets. */
  leaksInFiles(directory: string): string[] {
    const names = readdirSync(directory, { withFileTypes: true })
      .filter((entry) => entry.isFile())
      .map(({ name }) => name)
      .filter((name) => !CREDENTIAL_FILES.some((own) => own === name));
    return names.flatMap((name) => {
      const text = readIfThere(path.join(directory, name));
      return this.leaks(text, `file ${name}`);
    });
  }

  /**
   * Arguments and environment of a process and of those that it has started. `given`: what its environment was given
   * on purpose; its children get nothing of that.
   */
  leaksInProcess(pid: number, given: readonly string[] = []): string[] {
    const directory = `/proc/${String(pid)}`;
    const variables = readIfThere(`${directory}/environ`)
      .split('\0')
      .filter((one) => !given.some((value) => one.endsWith(`=${value}`)));
    const children = readIfThere(`${directory}/task/${String(pid)}/children`).split(' ');
    return [
      ...this.leaks(readIfThere(`${directory}/cmdline`), `arguments of process ${String(pid)}`),
      ...this.leaks(variables.join('\n'), `environment of process ${String(pid)}`),
      ...children.filter(Boolean).flatMap((child) => this.leaksInProcess(Number(child))),
    ];
  }
}

/** Bytes as letters; empty for what has gone meanwhile. */
function readIfThere(file: string): string {
  try {
    return readFileSync(file, 'latin1');
  } catch {
    return '';
  }
}
