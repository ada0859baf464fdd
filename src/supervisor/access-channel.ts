/**
 * Carries changes of who may call to the workers, and raises the auth epoch behind them: sent first, then the store, so
 * that a worker that sees the new epoch has the change or is about to read it.
 */
import { encodeFrame, type Access, type Envelope } from '../control/messages.js';
import type { SharedBlock } from '../native/shared-block.js';

/** Where the content comes from; what workers ask for goes back to it. */
export interface AccessSource {
  /** Everything that a worker must know, in parts. */
  whole(): Omit<Access, 'epoch'>[];
  /** Resolves when the issuer's keys were looked at again; a change was sent before. */
  refreshKeys(issuer: string): Promise<void>;
  wantUser(name: string, issuer: string): void;
}

export type Send = (envelope: Envelope) => void;

const NOBODY: Omit<Access, 'epoch'> = {
  whole: true,
  principals: [],
  removedPrincipals: [],
  credentials: [],
  removedCredentials: [],
  trustJson: '',
};

export class AccessChannel {
  readonly #block: SharedBlock;
  #source: AccessSource | null = null;

  constructor(block: SharedBlock) {
    this.#block = block;
    // 0 says in messages that more follows.
    block.raiseAuthEpoch();
  }

  use(source: AccessSource): void {
    this.#source = source;
  }

  /** To a worker that knows nothing yet. */
  greet(send: Send): void {
    const parts = this.#source?.whole() ?? [NOBODY];
    const epoch = this.#block.authEpoch();
    for (const [index, part] of parts.entries()) {
      send({ access: { ...part, epoch: index === parts.length - 1 ? epoch : 0 } });
    }
  }

  /** Effective in all workers when this returns: what rests on the old content is used no more. */
  change(change: Omit<Access, 'epoch'>, sendFrame: (frame: Buffer) => void): void {
    sendFrame(encodeFrame({ access: { ...change, epoch: this.#block.authEpoch() + 1 } }));
    this.#block.raiseAuthEpoch();
  }

  onEnvelope({ refreshKeys, wantedUser }: Envelope, send: Send): void {
    if (refreshKeys !== undefined) {
      const done = this.#source?.refreshKeys(refreshKeys.issuer) ?? Promise.resolve();
      void done.then(() => {
        send({ keysRefreshed: { issuer: refreshKeys.issuer } });
      });
    }
    if (wantedUser !== undefined) this.#source?.wantUser(wantedUser.name, wantedUser.issuer);
  }
}
