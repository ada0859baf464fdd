import t from 'tap';
import { requestTarget } from '../../../src/backends/protocols.js';
import { Protocol } from '../../../src/control/messages.js';

t.test('request targets towards replicas', (t) => {
  t.equal(requestTarget(Protocol.MLFLOW, '', 'a=1'), '/invocations');
  t.equal(requestTarget(Protocol.MLFLOW, '/base', ''), '/base/invocations');
  t.equal(requestTarget(Protocol.RAW, '', ''), '/');
  t.equal(requestTarget(Protocol.RAW, '', 'a=1'), '/?a=1');
  t.equal(requestTarget(Protocol.RAW, '/base', 'a=1'), '/base?a=1');
  t.end();
});
