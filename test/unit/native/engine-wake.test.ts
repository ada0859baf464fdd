/** An engine that others cannot wake must not begin: what waits in it for a limit would wait for nothing. */
import { closeSync, openSync } from 'node:fs';
import t from 'tap';
import { loadAddon, READ_BUFFER_BYTES } from '../../../src/native/addon.js';

t.test('a wake descriptor that cannot be watched is refused', (t) => {
  const addon = loadAddon();
  const { block, controlDescriptor, columnsDescriptor } = addon.createSharedBlock(1);
  addon.closeDescriptor(controlDescriptor);
  addon.closeDescriptor(columnsDescriptor);
  const build = (wake: number): InstanceType<typeof addon.Engine> =>
    new addon.Engine(
      () => undefined,
      new Uint8Array(READ_BUFFER_BYTES),
      new Float64Array(1),
      block,
      0,
      [wake],
    );
  // The kernel does not watch files.
  const file = openSync('/proc/self/exe', 'r');
  t.throws(() => build(file), { message: 'the wake descriptor cannot be watched' });
  closeSync(file);
  const wake = addon.createWakeDescriptor();
  build(wake).close();
  addon.closeDescriptor(wake);
  block.close();
  t.end();
});
