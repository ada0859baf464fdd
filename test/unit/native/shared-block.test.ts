/** The shared block holds memory for what was counted, and no more when a worker has died. */
import { fstatSync } from 'node:fs';
import t from 'tap';
import { loadAddon, READ_BUFFER_BYTES } from '../../../src/native/addon.js';

const BLOCK_BYTES = 512;
/** A column has 23 MB of slots. */
const GROWTH_BYTES_MAX = 64 * 1_024;

t.test('retiring a column makes nothing resident that nobody has touched', (t) => {
  const addon = loadAddon();
  const { block, controlDescriptor, columnsDescriptor } = addon.createSharedBlock(2);
  const residentBytes = (): number => fstatSync(columnsDescriptor).blocks * BLOCK_BYTES;
  const refusals = new Float64Array(block.refusalsMax);
  for (let death = 1; death <= 3; death += 1) {
    const engine = new addon.Engine(
      () => undefined,
      new Uint8Array(READ_BUFFER_BYTES),
      new Float64Array(1),
      block,
      0,
      [],
    );
    engine.beat();
    engine.countRefusal(3);
    engine.close();
    block.retire(0);
    t.ok(residentBytes() < GROWTH_BYTES_MAX, `${String(residentBytes())} bytes`);
    block.readRefusals(refusals);
    t.equal(refusals[3], death, 'what it counted is kept');
  }
  addon.closeDescriptor(controlDescriptor);
  addon.closeDescriptor(columnsDescriptor);
  block.close();
  t.end();
});
