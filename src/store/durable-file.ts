/**
 * Files that are replaced as a whole: written beside, synced, renamed, and the folder synced, so that a power cut
 * leaves the old content or the new one.
 */
import { closeSync, fsyncSync, openSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';

/** Mode 0600. On disk when it returns; when it throws, the old content stands. */
export function replaceFile(file: string, content: string): void {
  const fresh = `${file}.new`;
  try {
    const fd = openSync(fresh, 'w', 0o600);
    try {
      writeFileSync(fd, content);
      fsyncSync(fd);
    } finally {
      closeSync(fd);
    }
    renameSync(fresh, file);
  } catch (error) {
    rmSync(fresh, { force: true });
    throw error;
  }
  syncFolder(path.dirname(file));
}

function syncFolder(folder: string): void {
  const fd = openSync(folder, 'r');
  try {
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
}
