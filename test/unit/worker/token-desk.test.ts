/** What becomes of the tokens of the front's connections, and of those that the JS door asks for. */
import { setTimeout as delay } from 'node:timers/promises';
import t, { type Test } from 'tap';
import { AccessFeed } from '../../../src/auth/access-feed.js';
import type { Verified } from '../../../src/auth/trust.js';
import { WorkerMode, type Access } from '../../../src/control/messages.js';
import { createSealer } from '../../../src/store/sealed-box.js';
import { TokenDesk, type TokenDeskOptions } from '../../../src/worker/token-desk.js';
import { refusalNumber } from '../../../src/worker/refusals.js';
import { createKit, type IdentityKit } from '../auth/kit.js';

const TRUST = 7;
const AUTHORIZATION = 'Bearer a.b.c';

/** A desk whose tokens come by hand, and what it tells the engine. */
class Desk {
  readonly kit: IdentityKit;
  readonly desk: TokenDesk;
  readonly told: unknown[][] = [];
  readonly pending: Access[] = [];
  /** What the engine has kept of the one token that there is. */
  proof = '';
  version = 1;
  epoch = 1;

  constructor(t: Test) {
    this.kit = createKit(t);
    const tell =
      (name: string) =>
      (...values: unknown[]): void =>
        void this.told.push([name, ...values]);
    const engine: TokenDeskOptions['engine'] = {
      rememberToken: (authorization, ...values) => {
        this.proof = values[3];
        tell('rememberToken')(authorization, ...values);
      },
      proofOf: (authorization, version) =>
        authorization === AUTHORIZATION && version === TRUST ? this.proof : '',
      authorizationOf: () => AUTHORIZATION,
      admit: tell('admit'),
      admitVerified: tell('admitVerified'),
      reject: tell('reject'),
      setTrustVersion: tell('setTrustVersion'),
      openTokenLane: () => -1,
      closeTokenLane: () => undefined,
    };
    const trust = { current: () => ({ version: TRUST, issuers: [] }), onChange: () => undefined };
    const feed = new AccessFeed(this.kit.identities, trust, (update, takesAway) => {
      this.version += 1;
      if (takesAway) this.epoch += 1;
      this.pending.push({ ...update, epoch: this.epoch, version: this.version });
    });
    this.desk = new TokenDesk({
      engine,
      block: { accessVersion: () => this.version },
      send: () => undefined,
      onFault: (problem) => t.fail(problem),
    });
    this.desk.setUp({
      workspaceId: '1',
      authRequired: false,
      credentials: [],
      accessTokenKey: createSealer(Buffer.alloc(32, 1)).hashKey('access_token'),
      servingDomain: '',
      maxRequestBytes: 1,
      maxHeaderBytes: 1,
      maxConnections: 1,
      mode: WorkerMode.NATIVE,
    });
    const parts = feed.whole();
    for (const [index, part] of parts.entries()) {
      const version = index === parts.length - 1 ? this.version : 0;
      this.desk.onEnvelope({ access: { ...part, epoch: this.epoch, version } });
    }
    this.told.length = 0;
  }

  deliver(): void {
    for (const access of this.pending.splice(0)) this.desk.onEnvelope({ access });
  }

  take(): unknown[][] {
    return this.told.splice(0);
  }
}

function verifiedOf(principalId: string): Verified {
  return {
    ok: true,
    principal: 'mia',
    principalId,
    kind: 'own',
    exp: 4_000_000_000,
    iat: 0,
    jti: 'j',
    issuer: 'https://issuer.test',
    authorizationDetails: null,
    endpoints: null,
    groups: [],
    isAdmin: false,
    credentialId: '',
    autoCreate: false,
  };
}

t.test('a verified token is decided at once, by the trust of that moment', (t) => {
  const desk = new Desk(t);
  const mia = desk.kit.user('mia');
  desk.deliver();
  const json = JSON.stringify(verifiedOf(mia));
  desk.desk.decide(3, 4, json);
  const [told, ...others] = desk.take();
  t.same(others, []);
  t.match(told, ['admitVerified', 3, 4, desk.epoch, 4_000_000_000_000, {}, json, TRUST]);
  t.end();
});

t.test(
  'one that must wait for a change is let in by what that says, and keeps its proof',
  async (t) => {
    const desk = new Desk(t);
    const mia = desk.kit.user('mia');
    const json = JSON.stringify(verifiedOf(mia));
    desk.desk.decide(3, 4, json);
    await delay(5);
    t.same(desk.take(), []);
    desk.deliver();
    await delay(5);
    const terms = { everything: false };
    t.match(desk.take(), [
      ['rememberToken', AUTHORIZATION, desk.epoch, 4_000_000_000_000, terms, json, TRUST],
      ['admit', 3, 4],
    ]);
    desk.kit.book.delete(mia);
    desk.desk.decide(3, 5, json);
    desk.deliver();
    await delay(5);
    t.same(desk.take(), [['reject', 3, 5, refusalNumber('tokenInvalid')]]);
  },
);

t.test('the JS door asks for what the front has proved: no signature is looked at', async (t) => {
  const desk = new Desk(t);
  const mia = desk.kit.user('mia');
  desk.deliver();
  desk.proof = JSON.stringify(verifiedOf(mia));
  t.equal(await desk.desk.check(AUTHORIZATION), null);
  t.match(desk.take(), [['rememberToken', AUTHORIZATION, desk.epoch, 4_000_000_000_000]]);
  t.equal(desk.proof, JSON.stringify(verifiedOf(mia)));
  desk.kit.book.delete(mia);
  desk.deliver();
  t.equal(await desk.desk.check(AUTHORIZATION), 'tokenInvalid');
  t.same(desk.take(), []);
});
