import { existsSync } from 'node:fs';
import { join } from 'node:path';

/** Folder with the single modules of a built checkout. Older checkouts have them in dist/. */
export function modulesOf(root) {
  const folder = join(root, 'dist/modules');
  return existsSync(folder) ? folder : join(root, 'dist');
}

export const isBuilt = (root) => existsSync(join(modulesOf(root), 'cli/main.js'));
