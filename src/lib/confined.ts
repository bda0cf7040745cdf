import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { PortalError } from './errors.js';
import { isWithin, realPath } from './real-path.js';

/**
 * Paths that a configuration names, and where each may lead while this process runs: a symbolic link that is inside the
 * project when it is asked about can be swapped later. One process runs one configuration.
 */

export interface Confined {
  /** Real paths of folders and files that the path may lead to. */
  readonly within: readonly string[];
  /** SHA-256 of the only content that is trusted, hex. Default: any. */
  readonly sha256?: string;
}

const confined = new Map<string, Confined>();

/** From now on each path leads where it may, or is refused. Paths of earlier calls stay: leases that drain still use them. */
export function confine(paths: ReadonlyMap<string, Confined>): void {
  for (const [path, limits] of paths) confined.set(path, limits);
}

/** Every path leads wherever it leads again. */
export function unconfine(): void {
  confined.clear();
}

/**
 * Where `path` leads now, through every link. Throws `config_not_allowed` where that was not allowed. A path that is not
 * confined comes back as it is.
 */
export async function confinedPath(path: string): Promise<string> {
  const limits = confined.get(path);
  if (!limits) return path;
  const real = await realPath(path);
  if (limits.within.some((place) => isWithin(place, real))) return real;
  throw notAllowed(`${path} leads to ${real} now, which is not allowed yet (portal allow)`);
}

/** The text of a file. Throws `config_not_allowed` where it leads elsewhere or, if its content counts, has another one. */
export async function readConfined(path: string): Promise<string> {
  const bytes = await readFile(await confinedPath(path));
  const { sha256 } = confined.get(path) ?? {};
  if (sha256 !== undefined && sha256 !== sha256Of(bytes))
    throw notAllowed(`the content of ${path} changed, and is not allowed yet (portal allow)`);
  return bytes.toString('utf8');
}

const notAllowed = (message: string): PortalError =>
  new PortalError('config_not_allowed', message, { hint: 'Check what changed it.' });

export const sha256Of = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');
