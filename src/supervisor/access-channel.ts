/**
 * Carries changes of who may call to the workers, and raises two words of the shared memory behind them: sent first,
 * then the store, so that a worker that sees the new word has the change or is about to read it.
 *
 * The version counts every change: nobody is judged by older content. The auth epoch counts those that may take a right
 * away: caches of verdicts are worth nothing then. A change that only adds leaves them warm.
 */
import {
  encodeFrame,
  type AccessContent,
  type Envelope,
  type WantedUser,
} from '../control/messages.js';
import type { SharedBlock } from '../native/shared-block.js';

/** Where the content comes from; what workers ask for goes back to it. */
export interface AccessSource {
  /** Everything that a worker must know, in parts. */
  whole(): AccessContent[];
  /** Resolves when the issuer's keys were looked at again; a change was sent before. */
  refreshKeys(issuer: string): Promise<void>;
  wantUser(wanted: WantedUser): void;
}

export type Send = (envelope: Envelope) => void;

const NOBODY: AccessContent = {
  whole: true,
  principals: [],
  removedPrincipals: [],
  credentials: [],
  removedCredentials: [],
  deletedNames: [],
  trustJson: '',
};

export class AccessChannel {
  readonly #block: SharedBlock;
  #source: AccessSource | null = null;

  constructor(block: SharedBlock) {
    this.#block = block;
    // 0 says in messages that more follows.
    block.raiseAccessVersion();
    block.raiseAuthEpoch();
  }

  use(source: AccessSource): void {
    this.#source = source;
  }

  /** To a worker that knows nothing yet. */
  greet(send: Send): void {
    const parts = this.#source?.whole() ?? [NOBODY];
    const epoch = this.#block.authEpoch();
    const version = this.#block.accessVersion();
    for (const [index, part] of parts.entries()) {
      send({ access: { ...part, epoch, version: index === parts.length - 1 ? version : 0 } });
    }
  }

  /**
   * Effective in all workers when this returns: nobody is judged by the old content any more, and no verdict that rests
   * on it is used if the change takes something away.
   */
  change(change: AccessContent, takesAway: boolean, sendFrame: (frame: Buffer) => void): void {
    const epoch = this.#block.authEpoch() + (takesAway ? 1 : 0);
    const version = this.#block.accessVersion() + 1;
    sendFrame(encodeFrame({ access: { ...change, epoch, version } }));
    this.#block.raiseAccessVersion();
    if (takesAway) this.#block.raiseAuthEpoch();
  }

  onEnvelope({ refreshKeys, wantedUser }: Envelope, send: Send): void {
    if (refreshKeys !== undefined) {
      const done = this.#source?.refreshKeys(refreshKeys.issuer) ?? Promise.resolve();
      void done.then(() => {
        send({ keysRefreshed: { issuer: refreshKeys.issuer } });
      });
    }
    if (wantedUser !== undefined) this.#source?.wantUser(wantedUser);
  }
}
