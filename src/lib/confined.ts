import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { dirname } from 'node:path';
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
  /** The error for a path that leads elsewhere. */
  readonly outside?: string;
}

const confined = new Map<string, Confined>();

/**
 * The key of a relay's CA in the limits. A later save may name the same path for another purpose, with other limits, while
 * a draining lease still reads it as a CA.
 */
export const relayCaKey = (path: string): string => `CA of a relay: ${path}`;

/** Confines each path, or key of a CA. Those of earlier calls stay confined, since draining leases still use them. */
export function confine(paths: ReadonlyMap<string, Confined>): void {
  for (const [path, limits] of paths) confined.set(path, limits);
}

/** Confines the CA of a relay that the confined file `by` names: to that file's folder, and to where the file may lead. */
export async function confineCaNamedBy(by: string, path: string): Promise<void> {
  const limits = confined.get(by);
  // The configuration itself may name the same CA, and the user allowed its content.
  if (!limits || confined.get(relayCaKey(path))?.sha256 !== undefined) return;
  const folder = dirname(await realPath(by));
  const outside = `${path} is not in the folder of the relay list ${by}. Move it there, or name the relay and its CA in portal.yaml`;
  confined.set(relayCaKey(path), { within: [...limits.within, folder], outside });
}

/** Removes all limits on paths. */
export function unconfine(): void {
  confined.clear();
}

/** The real path of `path`. Throws `config_not_allowed` if `path` may not lead there. Returns an unconfined path unchanged. */
export async function confinedPath(path: string, key: string = path): Promise<string> {
  const limits = confined.get(key);
  if (!limits) return path;
  const real = await realPath(path);
  if (limits.within.some((place) => isWithin(place, real))) return real;
  throw notAllowed(limits.outside ?? `${path} leads to ${real} now, which is not allowed yet (portal allow)`);
}

/** The text of a file. Throws `config_not_allowed` if the path leads elsewhere or the content is not the trusted one. */
export async function readConfined(path: string, key: string = path): Promise<string> {
  const bytes = await readFile(await confinedPath(path, key));
  const { sha256 } = confined.get(key) ?? {};
  if (sha256 !== undefined && sha256 !== sha256Of(bytes))
    throw notAllowed(`the content of ${path} changed, and is not allowed yet (portal allow)`);
  return bytes.toString('utf8');
}

const notAllowed = (message: string): PortalError =>
  new PortalError('config_not_allowed', message, { hint: 'Check what changed it.' });

export const sha256Of = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');
