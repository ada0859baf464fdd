#!/usr/bin/env node
/**
 * Entry of the `pointsman` command: ties the process to the command line, and holds the only exit.
 * The first Ctrl-C, SIGTERM or SIGHUP asks the command to end; a second Ctrl-C or SIGTERM ends the process at once.
 */
import { readFileSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { ask } from './cli/ask.js';
import { EXIT_INTERRUPTED, type Io } from './cli/io.js';
import { runCli } from './cli/program.js';

const interruption = new AbortController();

const io: Io = {
  env: process.env,
  interactive: process.stdout.isTTY && process.stdin.isTTY,
  signal: interruption.signal,
  out(line) {
    process.stdout.write(`${line}\n`);
  },
  err(line) {
    process.stderr.write(`${line}\n`);
  },
  ask(question) {
    const { stdin: input, stdout: output } = process;
    return ask(question, { input, output, signal: interruption.signal, onInterrupt: onSignal });
  },
  async readInput() {
    const parts: Buffer[] = [];
    for await (const part of process.stdin) parts.push(part as Buffer);
    return Buffer.concat(parts);
  },
  nowMs: () => performance.now(),
  async sleep(delayMs) {
    if (interruption.signal.aborted) return;
    const waited = delay(delayMs, undefined, { signal: interruption.signal });
    await waited.catch(() => undefined);
  },
};

function onSignal(): void {
  if (interruption.signal.aborted) process.exit(EXIT_INTERRUPTED);
  interruption.abort();
}

process.on('SIGINT', onSignal);
process.on('SIGTERM', onSignal);
// A terminal that is closed may send more than one: by its shell, and by the kernel when that ends.
process.on('SIGHUP', () => {
  interruption.abort();
});
// A reader such as `head` that leaves is no reason for a stack trace.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  process.exit(error.code === 'EPIPE' ? 0 : 1);
});

function readVersion(): string {
  const text = readFileSync(new URL('../package.json', import.meta.url), 'utf8');
  return (JSON.parse(text) as { version: string }).version;
}

process.exitCode = await runCli(process.argv.slice(2), readVersion(), io);
// The command is over: whatever still holds the loop (a kept-alive connection) must not hold the
// shell.
process.exit();
