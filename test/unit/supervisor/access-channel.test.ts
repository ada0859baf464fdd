/** What workers are sent and what the shared memory says, in their order, on a real block. */
import t from 'tap';
import { FrameReader, type Access, type AccessContent } from '../../../src/control/messages.js';
import { loadAddon } from '../../../src/native/addon.js';
import { AccessChannel } from '../../../src/supervisor/access-channel.js';

const CHANGE: AccessContent = {
  whole: false,
  principals: [],
  removedPrincipals: [7],
  credentials: [],
  removedCredentials: [],
  deletedNames: [],
  trustJson: '',
};

t.test('a change is sent before the words that announce it are raised', (t) => {
  const addon = loadAddon();
  const { block, controlDescriptor, columnsDescriptor } = addon.createSharedBlock(1);
  const reader = addon.openSharedBlock(controlDescriptor, columnsDescriptor);
  t.teardown(() => {
    reader.close();
    block.close();
    addon.closeDescriptor(controlDescriptor);
    addon.closeDescriptor(columnsDescriptor);
  });
  const channel = new AccessChannel(block);
  channel.use({
    whole: () => [{ ...CHANGE, whole: true }, CHANGE],
    refreshKeys: () => Promise.resolve(),
    wantUser: () => undefined,
  });
  const words = (): [number, number] => [reader.authEpoch(), reader.accessVersion()];
  t.strictSame(words(), [1, 1]);

  const greeted: (Access | undefined)[] = [];
  channel.greet(({ access }) => greeted.push(access));
  t.match(greeted, [
    { whole: true, epoch: 1, version: 0 },
    { whole: false, epoch: 1, version: 1 },
  ]);

  const sent = (takesAway: boolean): { access: Access | undefined; before: [number, number] } => {
    let access: Access | undefined;
    let before: [number, number] = [0, 0];
    channel.change(CHANGE, takesAway, (frame) => {
      before = words();
      new FrameReader((envelope) => (access = envelope.access)).push(frame);
    });
    return { access, before };
  };
  t.match(sent(false), { access: { epoch: 1, version: 2 }, before: [1, 1] });
  t.strictSame(words(), [1, 2], 'caches stay warm, nobody is judged by the old content');
  t.match(sent(true), { access: { epoch: 2, version: 3 }, before: [1, 2] });
  t.strictSame(words(), [2, 3]);
  t.throws(() => reader.raiseAccessVersion(), /only the supervisor/);
  t.throws(() => reader.raiseAuthEpoch(), /only the supervisor/);
  t.end();
});
