/** Grants in records, in the manifest, and who hears of their changes. */
import t, { type Test } from 'tap';
import { parseGrants } from '../../../src/control/grants.js';
import { Fields } from '../../../src/control/input.js';
import { createKit } from '../auth/kit.js';
import { expectRefusal, MIA, REPLACE, startControl, UPSERT } from './harness.js';

function setUp(t: Test) {
  const kit = createKit(t);
  const mia = kit.user('mia');
  return { kit, mia, team: kit.group('team', [mia]), directory: kit.book };
}

const OPENAI = { openai_api_key: '{{secrets/scope/key}}' };
const MODEL = { name: 'g', provider: 'openai', task: 'llm/v1/chat', openai_config: OPENAI };
const CONFIG = { served_entities: [{ name: 'x', external_model: MODEL }] };

t.test('who makes an endpoint gets CAN_MANAGE; a change is stored and told', async (t) => {
  const { mia, team, directory } = setUp(t);
  const harness = await startControl(t, { directory });
  const { control, dir } = harness;
  const told: string[] = [];
  control.grants.onChange((ids) => told.push(...ids));
  await control.createEndpoint({ name: 'e' }, { ...MIA, principalId: mia });
  const made = control.grants.of('e');
  t.strictSame(made?.grants, [{ principal: mia, level: 'CAN_MANAGE' }]);
  t.strictSame(control.grants.of(made?.id ?? ''), made, 'by id too');
  t.equal(control.grants.of('nobody'), null);
  t.strictSame(told, [], 'a new endpoint takes nothing from anybody');
  const { revision } = control;
  const change = await control.grants.change(
    'e',
    (grants) => [...grants, { principal: team, level: 'CAN_VIEW' }],
    MIA,
  );
  t.equal(change.grants.length, 2);
  t.equal(control.revision, revision, 'nothing that routing can see');
  await control.grants.change('e', (grants) => grants, MIA);
  t.strictSame(told, [made?.id]);
  await expectRefusal(
    t,
    control.grants.change('nobody', () => [], MIA),
    404,
    'RESOURCE_DOES_NOT_EXIST',
    /nobody/,
  );

  await harness.stop();
  const { control: again } = await startControl(t, { directory, dir });
  t.strictSame(again.grants.of('e'), change, 'kept over a restart');
  again.grants.onChange((ids) => told.push(...ids));
  await again.deleteEndpoint('e', MIA);
  t.equal(again.grants.of('e'), null);
  t.equal(again.grants.of(change.id), null);
  t.equal(told.length, 2, 'a deletion is told too');
});

t.test('the manifest shows, replaces and keeps grants', async (t) => {
  const { mia, directory } = setUp(t);
  const { control } = await startControl(t, { directory });
  const admin = { ...UPSERT, principal: 'admin', principalId: '1' };
  const list = [
    { group_name: 'team', permission_level: 'CAN_QUERY' },
    { user_name: 'mia', permission_level: 'CAN_VIEW' },
  ];
  const endpoint = { name: 'e', access_control_list: list };
  await control.applyManifest({ endpoints: [endpoint] }, admin);
  t.match(control.grants.of('e')?.grants, [{ principal: '1', level: 'CAN_MANAGE' }, {}, {}]);
  t.strictSame(control.getManifest().value['endpoints'], [endpoint], 'without what is implied');
  const back = await control.applyManifest(control.getManifest().value, { ...admin, ...REPLACE });
  t.match(back.changes, [{ action: 'unchanged' }]);

  await control.applyManifest({ endpoints: [{ name: 'e', description: 'd' }] }, admin);
  t.equal(control.grants.of('e')?.grants.length, 3, 'without the key nothing changes');
  const fewer = [{ user_name: 'mia', permission_level: 'CAN_MANAGE' }];
  const changed = await control.applyManifest(
    { endpoints: [{ name: 'e', description: 'd', access_control_list: fewer }] },
    admin,
  );
  t.match(changed.changes, [{ action: 'update' }]);
  t.ok(changed.changes[0]?.fields.every((field) => field.startsWith('access_control_list')));
  t.strictSame(control.grants.of('e')?.grants, [
    { principal: '1', level: 'CAN_MANAGE' },
    { principal: mia, level: 'CAN_MANAGE' },
  ]);
  await expectRefusal(
    t,
    control.applyManifest(
      {
        endpoints: [{ name: 'e', access_control_list: [{ ...fewer[0], user_name: 'nobody' }] }],
      },
      admin,
    ),
    400,
    'INVALID_PARAMETER_VALUE',
    /^endpoints\[0\]\.access_control_list\[0\]\.user_name: there is no user "nobody"/,
  );
});

t.test('an endpoint with a config keeps its grants through updates', async (t) => {
  const { mia, directory } = setUp(t);
  const { control } = await startControl(t, { directory });
  const origin = { ...MIA, principalId: mia };
  await control.createEndpoint({ name: 'e', config: CONFIG }, origin);
  await control.updateConfig('e', CONFIG, { ...MIA, preempt: true });
  t.strictSame(control.grants.of('e')?.grants, [{ principal: mia, level: 'CAN_MANAGE' }]);
});

t.test('every entry names one principal that exists, once, and a level', (t) => {
  const { directory } = setUp(t);
  const level = { permission_level: 'CAN_QUERY' };
  const refused: readonly (readonly [unknown, RegExp])[] = [
    ['x', /^access_control_list: must be a list/],
    [['x'], /^access_control_list\[0\]: must be an object/],
    [[level], /^access_control_list\[0\]: must name one principal/],
    [[{ ...level, user_name: 'mia', group_name: 'team' }], /\[0\]: must name one principal/],
    [[{ ...level, user_name: 'team' }], /\[0\]\.user_name: there is no user "team"/],
    [[{ ...level, service_principal_name: 'mia' }], /there is no service principal "mia"/],
    [[{ user_name: 'mia' }], /\[0\]\.permission_level: missing/],
    [[{ user_name: 'mia', permission_level: 'CAN_RUN' }], /permission_level: must be one of CAN_/],
    [[{ ...level, user_name: 'query' }], /\[0\]\.user_name: the query token always has/],
    [
      [
        { ...level, user_name: 'mia' },
        { ...level, user_name: 'MIA' },
      ],
      /\[1\]: names a principal again/,
    ],
  ];
  for (const [list, message] of refused) {
    const fields = new Fields({ access_control_list: list }, '');
    t.throws(() => parseGrants(fields, directory), { code: 'INVALID_PARAMETER_VALUE', message });
  }
  t.equal(parseGrants(new Fields({}, ''), directory), null);
  t.end();
});
