/**
 * Loaded into every process of a daemon by a test (`--import`): on SIGWINCH a worker writes to the file that UNKNOWN_TOKENS
 * names how many unknown tokens the JS of its loop has been asked about.
 */
import { writeFileSync } from 'node:fs';

interface FrontEngine {
  openFront(settings: unknown, onUnknownToken: (...args: unknown[]) => void): void;
}
type EngineClass = new (...args: unknown[]) => FrontEngine;

const file = process.env['UNKNOWN_TOKENS'];

if (file !== undefined && process.env['POINTSMAN_WORKER'] !== undefined) {
  let asked = 0;
  const load = process.dlopen.bind(process);
  process.dlopen = (module: object, filename: string, flags?: number): void => {
    if (flags === undefined) load(module, filename);
    else load(module, filename, flags);
    const { exports } = module as { exports: { Engine?: EngineClass } };
    if (!filename.endsWith('pointsman.node') || exports.Engine === undefined) return;
    exports.Engine = class extends exports.Engine {
      override openFront(settings: unknown, onUnknownToken: (...args: unknown[]) => void): void {
        super.openFront(settings, (...args) => {
          asked += 1;
          onUnknownToken(...args);
        });
      }
    };
  };
  process.on('SIGWINCH', () => {
    writeFileSync(file, String(asked));
  });
}
