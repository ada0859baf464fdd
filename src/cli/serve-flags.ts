/** The flags of the configuration, one per setting, made from the schema. */
import type { Command } from 'commander';
import { loadConfig, type Config } from '../config/config.js';
import { CONFIG_LEAVES, rangeOf } from '../config/schema.js';
import type { Io } from './io.js';

export function addConfigFlags(command: Command): void {
  command.option('--config <file>', 'configuration file (POINTSMAN_CONFIG)');
  for (const leaf of CONFIG_LEAVES) {
    if (leaf.flag === null) continue;
    command.option(
      `--${leaf.flag} <value>`,
      `${leaf.key}: ${rangeOf(leaf)} (${String(leaf.variable)})`,
    );
  }
}

/** `override`: settings that win over every source, by flag name. */
export function readConfigFlags(
  command: Command,
  io: Io,
  override: Readonly<Record<string, string>> = {},
): Config {
  const given = command.opts<Record<string, string | undefined>>();
  const flags: Record<string, string | undefined> = {};
  for (const { flag } of CONFIG_LEAVES) {
    if (flag !== null) flags[flag] = given[camelCase(flag)];
  }
  const file = given['config'] ?? (io.env['POINTSMAN_CONFIG'] || undefined);
  return loadConfig({ file, flags: { ...flags, ...override }, env: io.env });
}

/** As commander names an option's value. */
function camelCase(flag: string): string {
  return flag.replaceAll(/-(.)/g, (_, letter: string) => letter.toUpperCase());
}
