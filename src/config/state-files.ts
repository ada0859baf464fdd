/** Names of the files in the state directory that more than one room touches. */
export const STATE_FILES = {
  /** Credential of the admin port; 0600, made on first start. */
  adminToken: 'admin-token',
  /** Credential that opens invocations only; 0600, made on first start. */
  queryToken: 'query-token',
  /** Key of the secrets in the store, unless POINTSMAN_MASTER_KEY is set; 0600, made on first start. */
  masterKey: 'master-key',
  /** Keys that sign our tokens, sealed. */
  signingKeys: 'signing-keys.json',
  /** Issuer name of our tokens where the configuration gives none; made on first start. */
  issuer: 'issuer',
  /**
   * Base URL of the admin port while the daemon runs; how the command line finds a local daemon.
   */
  adminUrl: 'admin-url',
} as const;

/** Folder of the demo's state inside the default state directory. */
export const DEMO_STATE_FOLDER = 'demo';
