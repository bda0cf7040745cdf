import { stat } from 'node:fs/promises';
import { join, relative, sep } from 'node:path';
import { isWithin, realPath } from '../../lib/real-path.js';

/** What a folder has for a path. Files are real paths within the folder. */
export type Found =
  | { readonly kind: 'file'; readonly file: string; readonly isMissing?: true }
  /** A folder, whose pages use relative links: the path needs a slash at its end. */
  | { readonly kind: 'folder' }
  | { readonly kind: 'nothing' };

const NOTHING: Found = { kind: 'nothing' };

/**
 * Finds the file for a decoded path: the file itself, `index.html` of a folder, or the page `path.html`. For other paths
 * without an extension, the app's `index.html`, unless the folder has a `404.html`, which is for all missing paths. Never
 * finds files whose name begins with a dot, and follows no link out of the folder.
 *
 * @param root the real path of the folder
 * @param path begins with `/`
 */
export async function findFile(root: string, path: string): Promise<Found> {
  if (!isPlain(path)) return missing(root, false);
  const own = await fileAt(root, path);
  if (own) return own;
  const page = path.endsWith('/') ? undefined : await fileAt(root, `${path}.html`);
  if (page?.kind === 'file') return page;
  return missing(root, !path.slice(path.lastIndexOf('/')).includes('.'));
}

/** `.well-known` (RFC 8615) is public by definition. */
const isPlain = (path: string): boolean =>
  !path.includes('\0') &&
  !path.includes('\\') &&
  path.split('/').every((name) => !name.startsWith('.') || name === '.well-known');

async function fileAt(root: string, path: string): Promise<Found | undefined> {
  const real = await realPath(join(root, path));
  if (!isWithin(root, real)) return undefined;
  // A link may lead to a hidden file.
  if (!isPlain(relative(root, real).split(sep).join('/'))) return undefined;
  const stats = await stat(real).catch(() => undefined);
  if (stats?.isFile()) return path.endsWith('/') ? undefined : { kind: 'file', file: real };
  if (!stats?.isDirectory()) return undefined;
  const index = await fileAt(root, `${path.replace(/\/$/, '')}/index.html`);
  if (index?.kind !== 'file') return undefined;
  return path.endsWith('/') ? index : { kind: 'folder' };
}

async function missing(root: string, isRoute: boolean): Promise<Found> {
  const page = await fileAt(root, '/404.html');
  if (page?.kind === 'file') return { ...page, isMissing: true };
  const app = isRoute ? await fileAt(root, '/index.html') : undefined;
  return app?.kind === 'file' ? app : NOTHING;
}
