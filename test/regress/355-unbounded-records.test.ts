/**
 * Texts of an endpoint had no bound but that of the body (16 MiB), and each change stored them again, in a history that was bounded
 * by count alone. The number of endpoints and deployments was bounded in manifests alone.
 */
import t from 'tap';
import { DEPLOYMENTS_MAX, ENDPOINTS_MAX } from '../../src/config/manifest.js';
import type { JsonObject } from '../../src/control/control-plane.js';
import { checkChange } from '../../src/control/content.js';
import type { Content, EndpointRecord } from '../../src/control/records.js';
import { ShardedMap } from '../../src/control/sharded-map.js';
import {
  CONFIG_BYTES_MAX,
  DESCRIPTION_CHARS_MAX,
  ENVIRONMENT_VALUE_CHARS_MAX,
  EXTRA_BYTES_MAX,
  TAG_VALUE_CHARS_MAX,
  TAGS_MAX,
} from '../../src/core/limits.js';
import { expectRefusal, MIA, split, startReady, UPSERT } from '../unit/control/harness.js';

function many(count: number): Map<string, never> {
  return new Map(Array.from({ length: count }, (_, index) => [String(index), {} as never]));
}

function content(endpoints: number, deployments: number): Content {
  return {
    endpoints: ShardedMap.of<EndpointRecord>(many(endpoints)),
    deployments: many(deployments),
    servedBy: new Map(),
  };
}

t.test('every text of an endpoint is bounded, and the 400 names it', async (t) => {
  const { control } = await startReady(t);
  const refused = (field: RegExp, extra: JsonObject) =>
    expectRefusal(
      t,
      control.createEndpoint({ name: 'f', config: split(90), ...extra }, MIA),
      400,
      'INVALID_PARAMETER_VALUE',
      field,
    );
  const long = (chars: number) => 'x'.repeat(chars);
  await refused(/^description: .*4096/, { description: long(DESCRIPTION_CHARS_MAX + 1) });
  await refused(/^tags\[0\]\.value: /, {
    tags: [{ key: 'a', value: long(TAG_VALUE_CHARS_MAX + 1) }],
  });
  const tags = Array.from({ length: TAGS_MAX + 1 }, (_, index) => ({ key: String(index) }));
  await refused(/^tags: takes at most 100/, { tags });
  for (const key of ['ai_gateway', 'telemetry_config', 'email_notifications']) {
    await refused(new RegExp(`^${key}: takes at most 65536 bytes`), {
      [key]: { on_update_success: [long(EXTRA_BYTES_MAX)] },
    });
  }
  const config = split(90) as { served_entities: JsonObject[] };
  const [one = {}, two = {}] = config.served_entities;
  const withEntity = (entity: JsonObject): JsonObject => ({
    ...config,
    served_entities: [{ ...one, ...entity }, two],
  });
  const long8k = long(ENVIRONMENT_VALUE_CHARS_MAX);
  await refused(/^config\.served_entities\[0\]\.environment_vars\.A: /, {
    config: withEntity({ environment_vars: { A: `${long8k}x` } }),
  });
  await refused(/^config\.auto_capture_config\.catalog_name: /, {
    config: { ...config, auto_capture_config: { catalog_name: long(256) } },
  });
  const names = Array.from({ length: 30 }, (_, index) => `V${String(index)}`);
  const environment = Object.fromEntries(names.map((name) => [name, long8k]));
  const huge = {
    ...config,
    served_entities: [one, two].map((entity) => ({ ...entity, environment_vars: environment })),
  };
  await refused(/^config: takes at most 262144 bytes/, { config: huge });
  t.ok(JSON.stringify(huge).length > CONFIG_BYTES_MAX);
  await expectRefusal(
    t,
    control.updateConfig('e', huge, MIA),
    400,
    'INVALID_PARAMETER_VALUE',
    /^served_entities: takes at most/,
  );
  const described = { name: 'e', description: long(DESCRIPTION_CHARS_MAX + 1) };
  await expectRefusal(
    t,
    control.applyManifest({ endpoints: [described] }, UPSERT),
    400,
    'INVALID_PARAMETER_VALUE',
    /^endpoints\[0\]\.description: /,
  );
});

t.test('the number of endpoints and of deployments is bounded for every call', (t) => {
  const full = content(ENDPOINTS_MAX, DEPLOYMENTS_MAX);
  checkChange(content(ENDPOINTS_MAX - 1, DEPLOYMENTS_MAX - 1), full);
  t.throws(
    () => {
      checkChange(full, content(ENDPOINTS_MAX + 1, 0));
    },
    { code: 'INVALID_PARAMETER_VALUE', message: /too many endpoints: .* at most 100000/ },
  );
  t.throws(
    () => {
      checkChange(full, content(0, DEPLOYMENTS_MAX + 1));
    },
    { code: 'INVALID_PARAMETER_VALUE', message: /too many deployments: .* at most 10000/ },
  );
  checkChange(content(ENDPOINTS_MAX + 2, 0), content(ENDPOINTS_MAX + 1, 0));
  t.end();
});
