import { usesAcme } from '../../certificates/spec.js';
import { constants } from 'node:fs';
import { open } from 'node:fs/promises';
import { relative, resolve } from 'node:path';
import type { ServiceSpec } from '../../agent/spec.js';
import { sha256Of, type Confined } from '../../lib/confined.js';
import { isMissing, systemCode } from '../../lib/errors.js';
import { readBounded } from '../../lib/read-bounded.js';
import { isWithin, realPath } from '../../lib/real-path.js';
import type { Target } from '../../net/target/target.js';
import type { Desired } from '../desired.js';
import type { ReadFile } from '../files/input-files.js';
import { lockFileOf } from '../files/lock.js';
import type { Permission } from './permissions.js';
import type { Path } from '../text/tree.js';

/** Files that a configuration names: which of them need a permission, and where each may lead later. */

const MAX_CA_BYTES = 1024 * 1024;
/** Digits of a digest to show. */
const SHOWN_DIGITS = 16;

export interface Project {
  /** Base of relative paths in the file. */
  readonly directory: string;
  /** Its real path. */
  readonly real: string;
}

export async function projectAt(directory: string): Promise<Project> {
  return { directory, real: await realPath(directory) };
}

interface Named {
  readonly file: string | undefined;
  readonly of: string;
  readonly path: Path;
}

export interface FilePermissions {
  readonly permissions: readonly Permission[];
  /** By absolute path. */
  readonly confined: ReadonlyMap<string, Confined>;
}

/**
 * Files and sockets outside the project, wherever links lead, except the CAs of relays. `read` are the files of the
 * configuration itself.
 */
export async function files(
  desired: Desired,
  project: Project,
  read: readonly ReadFile[],
): Promise<FilePermissions> {
  const named: Named[] = [
    { file: desired.identityFile, of: 'identity', path: ['identity'] },
    ...desired.services.flatMap((spec) => filesOf(spec)),
    ...read.map((each) => ({ path: [], ...each })),
  ];
  // Portal writes keys of relays there.
  if (desired.file !== undefined) named.push({ file: lockFileOf(desired.file), of: 'portal.lock', path: [] });
  const { registry } = desired.candidates ?? {};
  if (registry !== undefined && !/^https:/i.test(registry))
    named.push({ file: registry, of: 'registry', path: ['relays', 'registry'] });
  const permissions: Permission[] = [];
  const confined = new Map<string, Confined>();
  for (const { file, of, path } of named) {
    if (file === undefined) continue;
    const at = resolve(project.directory, file);
    const what = await realPath(at);
    const isInside = isWithin(project.real, what);
    if (!isInside) permissions.push({ key: `file ${what}`, kind: 'file', what, of, path });
    confined.set(at, { within: isInside ? [project.real] : [project.real, what] });
  }
  return { permissions, confined };
}

function filesOf(spec: ServiceSpec): Named[] {
  const { service, tls, targetTls } = spec;
  const at = (...path: string[]): Path => ['services', service, ...path];
  const paths = targetsAt(spec).map(({ target, path }) => ({
    file: target.kind === 'unix' ? target.path : target.folder,
    of: service,
    path,
  }));
  const own = { file: targetTls.caFile, of: `targetTls of ${service}`, path: at('targetTls', 'ca') };
  if (tls.source === 'files')
    return [
      ...paths,
      own,
      { file: tls.certFile, of: `tls of ${service}`, path: at('tls', 'cert') },
      { file: tls.keyFile, of: `tls of ${service}`, path: at('tls', 'key') },
    ];
  if (usesAcme(tls)) return [...paths, own, { file: tls.caFile, of: 'acme', path: ['acme', 'ca'] }];
  return [...paths, own];
}

/** Each target of a service, with its path in the file. */
export function targetsAt({ service, routes, target }: ServiceSpec): { target: Target; path: Path }[] {
  if (routes.length === 0) return [{ target, path: ['services', service, 'target'] }];
  return routes.map((route) => ({
    target: route.target,
    path: ['services', service, 'routes', route.prefix, 'target'],
  }));
}

export interface RelayCa {
  /** Equal keys mean equal trust. */
  readonly key: string;
  /** For display. */
  readonly shown: string;
  /** What the CA file may contain while the permission holds. */
  readonly confined: Confined;
}

/** No content has this digest. */
const NO_CONTENT = '';

/**
 * The CA that a relay is trusted by. A file outside the project belongs to this machine, and may be renewed. A file inside
 * comes with the project, so its content counts.
 */
export async function relayCa(file: string, project: Project): Promise<RelayCa> {
  const real = await realPath(file);
  // A link that leads into the project later would bring a CA that the user never saw.
  if (!isWithin(project.real, real)) return { key: real, shown: real, confined: { within: [real] } };
  const shown = relative(project.directory, file);
  const { sha256, why } = await digestOf(real);
  const within = [project.real];
  if (sha256 === undefined)
    return { key: real, shown: `${shown} (${why})`, confined: { within, sha256: NO_CONTENT } };
  const digits = sha256.slice(0, SHOWN_DIGITS);
  return { key: sha256, shown: `${shown} (SHA-256 ${digits}…)`, confined: { within, sha256 } };
}

/** Undefined if no CA can be read. */
type Digest =
  | { readonly sha256: string; readonly why?: never }
  | { readonly sha256?: never; readonly why: string };

/** The digest of a CA file, or the reason why it has none. */
async function digestOf(file: string): Promise<Digest> {
  try {
    // Does not wait for a pipe.
    const handle = await open(file, constants.O_RDONLY | (constants.O_NONBLOCK ?? 0));
    try {
      if (!(await handle.stat()).isFile()) return { why: 'not a file' };
      const stream = handle.createReadStream({ autoClose: false });
      return { sha256: sha256Of(await readBounded(stream, MAX_CA_BYTES, () => new RangeError('too large'))) };
    } finally {
      await handle.close();
    }
  } catch (error) {
    if (error instanceof RangeError) return { why: error.message };
    if (isMissing(error)) return { why: 'no such file' };
    const code = systemCode(error) ?? 'unknown reason';
    return { why: code === 'EACCES' ? 'permission denied' : code };
  }
}
