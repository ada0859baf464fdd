/** Reads the cases of ../shared/vectors; a file that is not there fails the test that needs it. */
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { projectFile } from '../unit/project-file.js';

const FOLDER = path.join(path.dirname(projectFile('package.json')), '../shared/vectors');

export function readVectors(name: string): unknown {
  return JSON.parse(readFileSync(path.join(FOLDER, name), 'utf8'));
}

/** Ids of the cases of a file that has a list of them. */
export function caseIds(name: string): string[] {
  const { cases } = readVectors(name) as { cases: { id: string }[] };
  return cases.map(({ id }) => id);
}
