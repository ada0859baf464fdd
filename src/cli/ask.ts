/** A question on the terminal. */
import { once } from 'node:events';
import { createInterface } from 'node:readline/promises';
import { interrupted } from './io.js';

export interface Terminal {
  readonly input: NodeJS.ReadableStream;
  readonly output: NodeJS.WritableStream;
  /** Ends the question. */
  readonly signal: AbortSignal;
  /** Called for Ctrl-C: while a line is read it is a key and no signal. */
  readonly onInterrupt: () => void;
}

/**
 * One line; empty when the input ends instead (Ctrl-D).
 * @throws CliError when it is interrupted.
 */
export async function ask(question: string, terminal: Terminal): Promise<string> {
  const { input, output, signal, onInterrupt } = terminal;
  const lines = createInterface({ input, output, terminal: true });
  lines.on('SIGINT', onInterrupt);
  try {
    const closed = once(lines, 'close').then(() => '');
    return await Promise.race([lines.question(question, { signal }), closed]);
  } catch (error) {
    if (signal.aborted) throw interrupted();
    if ((error as Error).name !== 'AbortError') throw error;
    // Ctrl-D leaves the cursor behind the question.
    output.write('\n');
    return '';
  } finally {
    lines.close();
  }
}
