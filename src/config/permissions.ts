import { lstat, readlink, realpath } from 'node:fs/promises';
import { basename, dirname, join, resolve, sep } from 'node:path';
import type { RelaySpec, ServiceSpec } from '../agent/spec.js';
import { LETS_ENCRYPT } from '../certificates/spec.js';
import { isMissing } from '../lib/errors.js';
import { formatTarget, isLoopback, type Target } from '../net/target.js';
import type { Desired } from './desired.js';
import { finding, type Finding } from './finding.js';
import { lockFileOf } from './lock.js';
import { maskUrl } from './mask-urls.js';
import { relayLists } from './relay-refs.js';
import { child, entriesOf, itemsOf, treeAt, type Path, type Tree } from './tree.js';

/** What a configuration may do only where its user allowed it: everything beyond local ports and relays in this process. */

export interface Permission {
  /** What is allowed, comparable: the same in every load. */
  readonly key: string;
  readonly kind: 'relay' | 'source' | 'reach' | 'file' | 'send';
  /** Of a relay its origin; of a path or host itself; of a variable its name. */
  readonly what: string;
  /** Whose it is: a service, or a key of the file; of a variable, who reads it. */
  readonly of: string;
  /** Where the file asks for it. */
  readonly path: Path;
}

/** Of one file; far beyond what a person reads. */
export const MAX_PERMISSIONS = 1_000;

/** Readers of what a file says, apart from relays that it names. */
const LISTED_RELAYS = 'relays of the list';
const VISITORS = 'visitors';
/** A relay in this process looks up the TXT record of a hostname. */
const DNS = 'DNS servers';

/** Everything that `desired` needs a permission for, each once. `directory` is the project: paths in it need none. */
export async function permissionsOf(desired: Desired, root: Tree, directory: string): Promise<Permission[]> {
  const all = [
    ...relays(desired, root, directory),
    ...sources(desired),
    ...reached(desired),
    ...(await files(desired, root, directory)),
    ...sent(desired, root),
  ];
  const first = new Map<string, Permission>();
  for (const each of all) if (!first.has(each.key)) first.set(each.key, each);
  return [...first.values()];
}

/** A permission as one line. */
export function describePermission({ kind, what, of }: Omit<Permission, 'key' | 'path'>): string {
  switch (kind) {
    case 'relay':
      return `publish at ${what}`;
    case 'source':
      return `${of} ${what}`;
    case 'reach':
      return `reach ${what} (${of})`;
    case 'file':
      return `use ${what} (${of})`;
    default:
      return `send $${what} to ${of}`;
  }
}

/** A question that is too long to be read is no question. */
export function tooMany(permissions: readonly Permission[], root: Tree): Finding[] {
  const beyond = permissions[MAX_PERMISSIONS];
  if (!beyond) return [];
  const message = `the file asks for ${permissions.length} permissions, and at most ${MAX_PERMISSIONS} can be allowed`;
  return [finding(root, beyond.path, { message, hint: 'Split it into several files.' })];
}

/** The permissions as problems of a file that goes beyond what was allowed. */
export function notAllowed(permissions: readonly Permission[], root: Tree): Finding[] {
  return permissions.map((permission) =>
    finding(root, permission.path, {
      code: 'config_not_allowed',
      message: `not allowed yet: ${describePermission(permission)}`,
      hint: 'Check the file, then run `portal allow`.',
    }),
  );
}

function relays({ relays: pool, services }: Desired, root: Tree, directory: string): Permission[] {
  const cas = new Map<string, string>();
  for (const relay of [...pool, ...services.flatMap((service) => service.relays)].flatMap(hopsOf))
    if (relay.caFile !== undefined) cas.set(relay.url, relay.caFile);
  return relayLists(root)
    .flat()
    .flatMap(({ origin, ca, urlPath }) => {
      if (origin === undefined) return [];
      const file = ca === undefined ? cas.get(origin) : resolve(directory, ca);
      const key = file === undefined ? `relay ${origin}` : `relay ${origin} ${file}`;
      return [{ key, kind: 'relay' as const, what: origin, of: 'relays', path: urlPath }];
    });
}

const hopsOf = (relay: RelaySpec) => {
  if (relay.kind === 'chain') return relay.hops;
  return relay.kind === 'url' ? [relay] : [];
};

/** Servers and lists that say more than the file does. */
function sources(desired: Desired): Permission[] {
  const { candidates, services } = desired;
  const found: Permission[] = [];
  if (candidates) {
    const { registry } = candidates;
    found.push(
      registry === undefined
        ? {
            key: 'candidates',
            kind: 'source',
            what: 'its relays name',
            of: 'publish at relays that',
            path: ['relays', 'maxActive'],
          }
        : {
            key: `registry ${registry}`,
            kind: 'source',
            what: maskUrl(registry),
            of: 'publish at relays of',
            path: ['relays', 'registry'],
          },
    );
  }
  for (const { tls } of services)
    if (tls.source === 'acme' && tls.directory !== LETS_ENCRYPT)
      found.push({
        key: `acme ${tls.directory}`,
        kind: 'source',
        what: maskUrl(tls.directory),
        of: 'get certificates from',
        path: ['acme', 'directory'],
      });
  return [...found, ...onlookers(desired)];
}

/** Other identities that relays show this agent to. */
function onlookers(desired: Desired): Permission[] {
  if (remoteRelays(desired).length === 0) return [];
  return (desired.team ?? []).map((address) => ({
    key: `show ${address}`,
    kind: 'source',
    what: address,
    of: 'show this agent to',
    path: ['team'],
  }));
}

/** Who is told what concerns the whole agent: relays elsewhere. */
function remoteRelays(desired: Desired): string[] {
  const urls = desired.relays.flatMap(hopsOf).map(({ url }) => url);
  return [...new Set([...desired.services.flatMap((spec) => readersOf(spec, desired)), ...urls])];
}

/** Each target of a service, and where it stands. */
function targets({ service, routes, target }: ServiceSpec): { target: Target; path: Path }[] {
  if (routes.length === 0) return [{ target, path: ['services', service, 'target'] }];
  return routes.map((route) => ({
    target: route.target,
    path: ['services', service, 'routes', route.prefix, 'target'],
  }));
}

/** Hosts other than this machine. */
function reached({ services }: Desired): Permission[] {
  return services.flatMap((spec) =>
    targets(spec).flatMap(({ target, path }) => {
      if (target.kind !== 'tcp' || isLoopback(target.host)) return [];
      const what = formatTarget({ ...target, tls: false });
      return [{ key: `reach ${what}`, kind: 'reach' as const, what, of: spec.service, path }];
    }),
  );
}

/** Files and sockets outside the project, wherever links lead. */
async function files(desired: Desired, root: Tree, directory: string): Promise<Permission[]> {
  const project = await realPath(directory);
  const named: { file: string | undefined; of: string; path: Path }[] = [
    { file: desired.identityFile, of: 'identity', path: ['identity'] },
    ...relayLists(root)
      .flat()
      .map(({ ca, caPath }) => ({ file: ca, of: 'ca of a relay', path: caPath })),
    ...desired.services.flatMap((spec) => filesOf(spec)),
  ];
  // Keys of relays are written there.
  if (desired.file !== undefined) named.push({ file: lockFileOf(desired.file), of: 'portal.lock', path: [] });
  const { registry } = desired.candidates ?? {};
  if (registry !== undefined && !/^https:/i.test(registry))
    named.push({ file: registry, of: 'registry', path: ['relays', 'registry'] });
  const found = await Promise.all(
    named.map(async ({ file, of, path }): Promise<Permission[]> => {
      if (file === undefined) return [];
      const what = await realPath(resolve(directory, file));
      if (what === project || what.startsWith(project.endsWith(sep) ? project : project + sep)) return [];
      return [{ key: `file ${what}`, kind: 'file', what, of, path }];
    }),
  );
  return found.flat();
}

function filesOf(spec: ServiceSpec): { file: string | undefined; of: string; path: Path }[] {
  const { service, tls, targetTls } = spec;
  const at = (...path: string[]): Path => ['services', service, ...path];
  const sockets = targets(spec).map(({ target, path }) => ({
    file: target.kind === 'unix' ? target.path : undefined,
    of: service,
    path,
  }));
  const own = { file: targetTls.caFile, of: `targetTls of ${service}`, path: at('targetTls', 'ca') };
  if (tls.source === 'files')
    return [
      ...sockets,
      own,
      { file: tls.certFile, of: `tls of ${service}`, path: at('tls', 'cert') },
      { file: tls.keyFile, of: `tls of ${service}`, path: at('tls', 'key') },
    ];
  if (tls.source === 'acme') return [...sockets, own, { file: tls.caFile, of: 'acme', path: ['acme', 'ca'] }];
  return [...sockets, own];
}

const MAX_LINKS = 40;

/** Where a path leads, through every link, whether or not there is something. */
async function realPath(path: string, links = 0): Promise<string> {
  try {
    return await realpath(path);
  } catch (error) {
    const parent = dirname(path);
    if (!isMissing(error) || parent === path || links > MAX_LINKS) return path;
    const isLink = await lstat(path).then(
      (found) => found.isSymbolicLink(),
      () => false,
    );
    if (isLink) return realPath(resolve(await realPath(parent), await readlink(path)), links + 1);
    return join(await realPath(parent, links), basename(path));
  }
}

/** Variables whose values somebody else reads. */
function sent(desired: Desired, root: Tree): Permission[] {
  const found: Permission[] = [];
  const add = (path: Path, readers: readonly string[]): void => {
    for (const name of variablesAt(root, path))
      for (const of of readers) found.push({ key: `send ${name} ${of}`, kind: 'send', what: name, of, path });
  };
  const everywhere = remoteRelays(desired);
  add(['machine'], everywhere);
  add(['team'], everywhere);
  for (const { origin, urlPath } of relayLists(root).flat()) if (origin !== undefined) add(urlPath, [origin]);
  add(['relays', 'registry'], ['the registry']);
  add(['acme'], ['the certificate authority']);
  for (const spec of desired.services) {
    const at = ['services', spec.service];
    const relaysHere = readersOf(spec, desired);
    for (const key of READ_BY_RELAYS) add([...at, key], relaysHere);
    if (spec.relays.some(({ kind }) => kind === 'embedded')) add([...at, 'hostname'], [DNS]);
    if (relaysHere.length > 0)
      for (const { prefix } of spec.routes) add([...at, 'routes', prefix, 'responseHeaders'], [VISITORS]);
    for (const { target, path } of targets(spec)) {
      if (target.kind !== 'tcp' || isLoopback(target.host)) continue;
      const reader = [formatTarget({ ...target, tls: false })];
      // A route or a service that is written as its target alone stands one level up.
      const whole = child(treeAt(root, path.slice(0, -1)), 'target') ? path : path.slice(0, -1);
      add(whole, reader);
      for (const key of ['headers', 'host']) add([...path.slice(0, -1), key], reader);
      for (const key of ['health', 'host', 'targetTls']) add([...at, key], reader);
    }
  }
  return found;
}

/** What of a service its relay is told. */
export const READ_BY_RELAYS = ['name', 'hostname', 'port', 'metadata'] as const;

/** The relays elsewhere that a service is on. */
function readersOf({ relays: own, onPool }: ServiceSpec, { candidates }: Desired): string[] {
  const named = own.flatMap(hopsOf).map(({ url }) => url);
  return candidates && onPool ? [...named, LISTED_RELAYS] : named;
}

/** The variables of every text at `path` and below it. */
function variablesAt(root: Tree, path: Path): Set<string> {
  const names = new Set<string>();
  const visit = (tree: Tree | undefined): void => {
    if (tree?.kind === 'scalar') for (const name of tree.variables ?? []) names.add(name);
    for (const item of itemsOf(tree)) visit(item);
    for (const [, { value }] of entriesOf(tree)) visit(value);
  };
  visit(treeAt(root, path));
  return names;
}
