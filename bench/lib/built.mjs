import { existsSync } from 'node:fs';
import { join } from 'node:path';

/** Where a built checkout has its single modules; before the program was bundled, that was dist/ itself. */
export function modulesOf(root) {
  const folder = join(root, 'dist/modules');
  return existsSync(folder) ? folder : join(root, 'dist');
}

export const isBuilt = (root) => existsSync(join(modulesOf(root), 'cli/main.js'));
