/** A manifest from a file or from standard input, read as strictly as the daemon reads it. */
import { readFileSync } from 'node:fs';
import { parseJson } from '../config/json-text.js';
import { decodeUtf8 } from '../config/text-position.js';
import { parseYaml } from '../config/yaml-text.js';
import { PointsmanError, messageOf } from '../core/errors.js';
import { CliError, type Io } from './io.js';

/** `-` is standard input. */
export async function readManifest(file: string, io: Io): Promise<unknown> {
  return file === '-'
    ? parseManifest(await io.readInput(), 'standard input')
    : readManifestFile(file);
}

/** @throws CliError that names the file */
export function readManifestFile(file: string): unknown {
  return parseManifest(readBytes(file), file);
}

/** JSON by its first letter, else YAML; both give better messages than the other's. */
function parseManifest(bytes: Buffer, name: string): unknown {
  try {
    const text = decodeUtf8(bytes);
    const manifest = text.trimStart().startsWith('{') ? parseJson(text) : parseYaml(text);
    if (manifest === null) throw new CliError(`${name} is empty.`);
    return manifest;
  } catch (error) {
    if (error instanceof PointsmanError) throw new CliError(`${name}: ${error.message}`);
    throw error;
  }
}

function readBytes(file: string): Buffer {
  try {
    return readFileSync(file);
  } catch (error) {
    throw new CliError(`Cannot read the manifest ${file}: ${messageOf(error)}`);
  }
}
