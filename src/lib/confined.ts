import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { PortalError } from './errors.js';
import { isWithin, realPath } from './real-path.js';

/**
 * Owns where each path of the configuration may lead while this process runs: a symbolic link inside the project can be
 * swapped after the user allowed it. One process runs one configuration.
 */

export interface Confined {
  /** Real paths of the folders and files that the path may lead to. */
  readonly within: readonly string[];
  /** SHA-256 (hex) of the only trusted content. Default: any content. */
  readonly sha256?: string;
}

const confined = new Map<string, Confined>();

/** Confines each path. Paths of earlier calls stay confined, since draining leases still use them. */
export function confine(paths: ReadonlyMap<string, Confined>): void {
  for (const [path, limits] of paths) confined.set(path, limits);
}

/** Removes all limits on paths. */
export function unconfine(): void {
  confined.clear();
}

/** The real path of `path`. Throws `config_not_allowed` if `path` may not lead there. Returns an unconfined path unchanged. */
export async function confinedPath(path: string): Promise<string> {
  const limits = confined.get(path);
  if (!limits) return path;
  const real = await realPath(path);
  if (limits.within.some((place) => isWithin(place, real))) return real;
  throw notAllowed(`${path} leads to ${real} now, which is not allowed yet (portal allow)`);
}

/** The text of a file. Throws `config_not_allowed` if the path leads elsewhere or the content is not the trusted one. */
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
