/**
 * What a good manifest's endpoints name and none of its deployments serves. No error: a deployment
 * may come later or be there already; but more often a version was forgotten in one of two places.
 */

interface Serves {
  readonly entity_name?: string;
  readonly entity_version?: string | number | null;
}

interface Served extends Serves {
  readonly model_name?: string;
  readonly model_version?: string | number | null;
}

interface Manifest {
  readonly deployments?: readonly { readonly serves: readonly Serves[] }[];
  readonly endpoints?: readonly {
    readonly name: string;
    readonly config?: {
      readonly served_entities?: readonly Served[];
      readonly served_models?: readonly Served[];
    };
  }[];
}

/** @param given one that the control plane has found good. */
export function unservedEntities(given: unknown): string[] {
  const { deployments = [], endpoints = [] } = given as Manifest;
  const served = new Set(deployments.flatMap(({ serves }) => serves.map(entityText)));
  const notes = endpoints.flatMap(({ name, config = {} }) =>
    [...(config.served_entities ?? []), ...(config.served_models ?? [])]
      .map((entity) => entityText(entity))
      .filter((text) => text !== null && !served.has(text))
      .map(
        (text) =>
          `no deployment of the manifest serves ${String(text)}, which endpoint ${name} names.`,
      ),
  );
  return [...new Set(notes)];
}

/** Null: an external model, which nothing here serves. */
function entityText(entity: Served): string | null {
  const name = entity.entity_name ?? entity.model_name;
  const version = entity.entity_version ?? entity.model_version;
  if (name === undefined) return null;
  return version === undefined || version === null ? name : `${name} version ${String(version)}`;
}
