/**
 * Shape of `external_model` (reference/databricks-serving-api.md, section 3.5): one table of
 * providers.
 *
 * Only fields that the table names are kept, so that a secret under a misspelt key is not stored
 * and shown. Secrets must be references (`{{secrets/scope/key}}`); their `*_plaintext` twins are
 * refused because there is no place yet that would keep them encrypted.
 */
import { invalidField } from '../core/errors.js';
import type { JsonObject } from './control-plane.js';
import { checkText, type Fields } from './input.js';

export const EXTERNAL_TASKS = ['llm/v1/chat', 'llm/v1/completions', 'llm/v1/embeddings'] as const;

interface ProviderShape {
  readonly configKey: string;
  readonly required: readonly string[];
  readonly optional: readonly string[];
  /** All secrets of one group must be given. */
  readonly secretGroups: readonly (readonly string[])[];
  /** Fields that stand in for the secrets. */
  readonly insteadOfSecrets: readonly string[];
}

function provider(configKey: string, shape: Partial<ProviderShape>): ProviderShape {
  return {
    required: [],
    optional: [],
    secretGroups: [],
    insteadOfSecrets: [],
    ...shape,
    configKey,
  };
}

const PROVIDERS: Readonly<Record<string, ProviderShape>> = {
  ai21labs: provider('ai21labs_config', { secretGroups: [['ai21labs_api_key']] }),
  anthropic: provider('anthropic_config', { secretGroups: [['anthropic_api_key']] }),
  'amazon-bedrock': provider('amazon_bedrock_config', {
    required: ['aws_region', 'bedrock_provider'],
    secretGroups: [['aws_access_key_id', 'aws_secret_access_key']],
    insteadOfSecrets: ['instance_profile_arn'],
  }),
  cohere: provider('cohere_config', {
    optional: ['cohere_api_base'],
    secretGroups: [['cohere_api_key']],
  }),
  custom: provider('custom_provider_config', { required: ['custom_provider_url'] }),
  'databricks-model-serving': provider('databricks_model_serving_config', {
    required: ['databricks_workspace_url'],
    secretGroups: [['databricks_api_token']],
  }),
  'google-cloud-vertex-ai': provider('google_cloud_vertex_ai_config', {
    required: ['region', 'project_id'],
    secretGroups: [['private_key']],
  }),
  openai: provider('openai_config', {
    optional: [
      'openai_api_base',
      'openai_api_type',
      'openai_api_version',
      'openai_deployment_name',
      'openai_organization',
      'microsoft_entra_tenant_id',
      'microsoft_entra_client_id',
    ],
    secretGroups: [['openai_api_key'], ['microsoft_entra_client_secret']],
  }),
  palm: provider('palm_config', { secretGroups: [['palm_api_key']] }),
};

const BEDROCK_PROVIDERS = ['ai21labs', 'amazon', 'anthropic', 'cohere'];
const OPENAI_TYPES = ['openai', 'azure', 'azuread'];

export type ExternalModel = JsonObject & { readonly name: string; readonly task: string };

/** @throws PointsmanError INVALID_PARAMETER_VALUE naming the field. */
export function parseExternalModel(fields: Fields): ExternalModel {
  const name = fields.requiredText('name');
  const providerName = fields.requiredText('provider');
  const shape = Object.hasOwn(PROVIDERS, providerName) ? PROVIDERS[providerName] : undefined;
  if (shape === undefined) {
    throw invalidField(
      fields.at('provider'),
      `must be one of ${Object.keys(PROVIDERS).join(', ')}`,
    );
  }
  const task = fields.oneOf('task', EXTERNAL_TASKS);
  if (task === null) throw invalidField(fields.at('task'), 'missing');
  for (const { configKey } of Object.values(PROVIDERS)) {
    if (configKey !== shape.configKey && fields.has(configKey)) {
      throw invalidField(fields.at(configKey), `does not belong to provider ${providerName}`);
    }
  }
  const config = fields.object(shape.configKey);
  if (config === null) throw invalidField(fields.at(shape.configKey), 'missing');
  return { name, provider: providerName, task, [shape.configKey]: parseProvider(config, shape) };
}

function parseProvider(fields: Fields, shape: ProviderShape): JsonObject {
  const kept: JsonObject = {};
  for (const key of shape.required) kept[key] = fields.requiredText(key);
  for (const key of [...shape.optional, ...shape.insteadOfSecrets]) {
    const value = fields.string(key);
    if (value !== null) kept[key] = checkText(value, fields.at(key));
  }
  Object.assign(kept, parseSecrets(fields, shape));
  if (shape.configKey === 'amazon_bedrock_config') {
    const vendor = fields.requiredText('bedrock_provider').toLowerCase();
    if (!BEDROCK_PROVIDERS.includes(vendor)) {
      throw invalidField(
        fields.at('bedrock_provider'),
        `must be one of ${BEDROCK_PROVIDERS.join(', ')}`,
      );
    }
  }
  if (shape.configKey === 'openai_config') fields.oneOf('openai_api_type', OPENAI_TYPES);
  if (shape.configKey === 'custom_provider_config') Object.assign(kept, parseCustomAuth(fields));
  return kept;
}

function parseSecrets(fields: Fields, shape: ProviderShape): JsonObject {
  const kept: JsonObject = {};
  for (const key of shape.secretGroups.flat()) {
    const value = secretReference(fields, key);
    if (value !== null) kept[key] = value;
  }
  if (shape.secretGroups.length === 0) return kept;
  if (shape.insteadOfSecrets.some((key) => fields.has(key))) return kept;
  const group =
    shape.secretGroups.find((keys) => keys.some((key) => key in kept)) ?? shape.secretGroups[0];
  const missing = group?.find((key) => !(key in kept));
  if (missing !== undefined) throw invalidField(fields.at(missing), 'missing');
  return kept;
}

function parseCustomAuth(fields: Fields): JsonObject {
  const apiKey = fields.object('api_key_auth');
  const bearer = fields.object('bearer_token_auth');
  if (apiKey !== null && bearer !== null) {
    throw invalidField(fields.at('bearer_token_auth'), 'excludes api_key_auth');
  }
  if (apiKey !== null) {
    const key = apiKey.requiredText('key');
    return { api_key_auth: { key, value: requiredSecret(apiKey, 'value') } };
  }
  if (bearer !== null) return { bearer_token_auth: { token: requiredSecret(bearer, 'token') } };
  return {};
}

function requiredSecret(fields: Fields, key: string): string {
  const value = secretReference(fields, key);
  if (value === null) throw invalidField(fields.at(key), 'missing');
  return value;
}

function secretReference(fields: Fields, key: string): string | null {
  const plaintext = `${key}_plaintext`;
  if (fields.has(plaintext)) {
    throw invalidField(
      fields.at(plaintext),
      fields.has(key)
        ? `excludes ${key}: give exactly one of the two`
        : `plaintext secrets are not supported yet; give ${key} as a secret reference, ` +
            '{{secrets/SCOPE/KEY}}',
    );
  }
  const value = fields.string(key);
  if (value === null) return null;
  if (!/^\{\{secrets\/[^/{}\s]+\/[^/{}\s]+\}\}$/.test(value)) {
    throw invalidField(fields.at(key), 'must be a secret reference, {{secrets/SCOPE/KEY}}');
  }
  return value;
}
