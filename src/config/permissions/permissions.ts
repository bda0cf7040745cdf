import { resolve } from 'node:path';
import type { RelaySpec, ServiceSpec } from '../../agent/spec.js';
import { caName, certificatesFrom, LETS_ENCRYPT, usesAcme } from '../../certificates/spec.js';
import { relayCaKey, type Confined } from '../../lib/confined.js';
import { formatTarget, isLoopback, isThisMachine } from '../../net/target/target.js';
import type { Desired } from '../desired.js';
import { finding, type Finding } from '../text/finding.js';
import type { ReadFile } from '../files/input-files.js';
import { maskUrl } from '../variables/mask-urls.js';
import { commands } from './commands.js';
import { files, projectAt, relayCa, targetsAt, type Project, type RelayCa } from './files.js';
import { relayLists } from '../checks/relay-refs.js';
import { child, entriesOf, itemsOf, treeAt, type Path, type Tree } from '../text/tree.js';

/**
 * Everything that a configuration may do only with the user's permission: all but local ports and relays in this
 * process. Commands need one wherever the services are published.
 */

export interface Permission {
  /** A comparable key, the same in every load. */
  readonly key: string;
  readonly kind: 'relay' | 'source' | 'reach' | 'file' | 'send' | 'run';
  /** A relay's origin, a path, a host, a variable's name, or a command. */
  readonly what: string;
  /**
   * Its owner: a service, or a key of the file. For a variable: its readers. For a relay: its CA, empty for the
   * system's CAs.
   */
  readonly of: string;
  /** The path of the setting that needs the permission. */
  readonly path: Path;
}

/** Per file. Far more than a person would read. */
export const MAX_PERMISSIONS = 1_000;

/** Of variables, including repeated ones. A file with more asks for too much. */
const MAX_COLLECTED = 20_000;
/** The readers that are not relays in the file. */
const LISTED_RELAYS = 'relays of the list';
const VISITORS = 'visitors';
/** A relay in this process looks up the hostname's TXT record. */
const DNS = 'DNS servers';

export interface Permissions {
  /** Everything that the configuration needs a permission for, each once. */
  readonly permissions: Permission[];
  /** Where each path that it names may lead from now on. CAs of relays have keys of their own. */
  readonly confined: ReadonlyMap<string, Confined>;
}

/**
 * `directory` is the project: paths in it need no permission. `read` are the files that were read in addition to the
 * configuration.
 */
export async function permissionsOf(
  desired: Desired,
  root: Tree,
  directory: string,
  read: readonly ReadFile[] = [],
): Promise<Permissions> {
  const project = await projectAt(directory);
  const named = await files(desired, project, read);
  const trusted = await relays(desired, root, project);
  const all = [
    ...trusted.permissions,
    ...sources(desired),
    ...reached(desired),
    ...commands(desired, directory),
    ...named.permissions,
    ...sent(desired, root),
  ];
  const first = new Map<string, Permission>();
  for (const each of all) if (!first.has(each.key)) first.set(each.key, each);
  return {
    permissions: [...first.values()],
    confined: new Map([...named.confined, ...trusted.confined]),
  };
}

/** A variable as people know it. */
export const variableText = (name: string): string =>
  name === 'user' ? '${user} (your user name)' : `\${${name}}`;

const CERTIFICATES = 'get certificates from';

/** The URL identifies another CA exactly. */
const nameOf = (directory: string): string => (directory === LETS_ENCRYPT ? caName(directory) : directory);

/** A permission as one line. */
export function describePermission({ kind, what, of }: Omit<Permission, 'key' | 'path'>): string {
  switch (kind) {
    case 'relay':
      return of === '' ? `publish at ${what}` : `publish at ${what}, trusting the CA ${of}`;
    case 'source':
      return of === CERTIFICATES ? `get ${certificatesFrom(nameOf(what))}` : `${of} ${what}`;
    case 'reach':
      return `reach ${what} (${of})`;
    case 'file':
      return `use ${what} (${of})`;
    case 'run':
      return `run ${what} (${of})`;
    default:
      return `send ${variableText(what)} to ${of}`;
  }
}

/** No one can review a question of this length. */
export function tooMany(permissions: readonly Permission[], root: Tree): Finding[] {
  const beyond = permissions[MAX_PERMISSIONS];
  if (!beyond) return [];
  const message = `the file asks for more than ${MAX_PERMISSIONS} permissions, which is too many to review`;
  return [finding(root, beyond.path, { message, hint: 'Split the file into several.' })];
}

/** Problems for everything in a file that is not allowed. */
export function notAllowed(permissions: readonly Permission[], root: Tree): Finding[] {
  return permissions.map((permission) =>
    finding(root, permission.path, {
      code: 'config_not_allowed',
      message: `not allowed yet: ${describePermission(permission)}`,
      hint: 'Check the file, then run `portal allow`.',
    }),
  );
}

/** Each relay with its CA: the same relay with another CA needs a new permission. */
async function relays(
  { relays: pool, services }: Desired,
  root: Tree,
  project: Project,
): Promise<{ permissions: Permission[]; confined: Map<string, Confined> }> {
  const cas = new Map<string, string>();
  for (const relay of [...pool, ...services.flatMap((service) => service.relays)].flatMap(hopsOf))
    if (relay.caFile !== undefined) cas.set(relay.url, relay.caFile);
  const permissions: Permission[] = [];
  const confined = new Map<string, Confined>();
  const seen = new Map<string, Promise<RelayCa>>();
  const known = (file: string): Promise<RelayCa> => {
    const ca = seen.get(file) ?? relayCa(file, project);
    seen.set(file, ca);
    return ca;
  };
  for (const { origin, ca, urlPath } of relayLists(root).flat()) {
    if (origin === undefined) continue;
    const file = ca === undefined ? cas.get(origin) : resolve(project.directory, ca);
    const relay = { kind: 'relay' as const, what: origin, path: urlPath };
    if (file === undefined) {
      permissions.push({ ...relay, key: relayKeyOf(origin), of: '' });
      continue;
    }
    const { key, shown, confined: limits } = await known(file);
    permissions.push({ ...relay, key: relayKeyOf(origin, key), of: shown });
    confined.set(relayCaKey(file), limits);
  }
  return { permissions, confined };
}

/** The parts of a permission: a relay and its CA. */
function relayKeyOf(origin: string, ca?: string): string {
  return ca === undefined ? `relay ${origin}` : `relay ${origin} ${ca}`;
}

const hopsOf = (relay: RelaySpec) => {
  if (relay.kind === 'chain') return relay.hops;
  return relay.kind === 'url' ? [relay] : [];
};

/** Servers and relay lists that add to the file's content. */
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
  for (const { service, tls, hostname, relays: own } of services) {
    if (usesAcme(tls))
      found.push({
        key: `acme ${tls.directory}`,
        kind: 'source',
        what: maskUrl(tls.directory),
        of: CERTIFICATES,
        path: tls.directory === LETS_ENCRYPT ? ['services', service, 'tls'] : ['acme', 'directory'],
      });
    // The relay in this process looks up the owner of the hostname in DNS.
    if (hostname !== undefined && !isThisMachine(hostname) && own.some(({ kind }) => kind === 'embedded'))
      found.push({
        key: `dns ${hostname}`,
        kind: 'source',
        what: `${hostname} in DNS`,
        of: 'look up',
        path: ['services', service, 'hostname'],
      });
  }
  return [...found, ...teamPermissions(desired)];
}

/** Other identities to which relays show this agent. */
function teamPermissions(desired: Desired): Permission[] {
  if (remoteRelays(desired).length === 0) return [];
  return (desired.team ?? []).map((address) => ({
    key: `show ${address}`,
    kind: 'source',
    what: address,
    of: 'show this agent to',
    path: ['team'],
  }));
}

/** Relays on other hosts, which receive data about the whole agent. */
function remoteRelays(desired: Desired): string[] {
  const urls = desired.relays.flatMap(hopsOf).map(({ url }) => url);
  return [...new Set([...desired.services.flatMap((spec) => readersOf(spec, desired)), ...urls])];
}

/** Targets on other machines. */
function reached({ services }: Desired): Permission[] {
  return services.flatMap((spec) => [...targetsReached(spec), ...providerReached(spec)]);
}

/** Where visitors sign in. The agent sends the client secret there. */
function providerReached(spec: ServiceSpec): Permission[] {
  const what = providerOf(spec);
  const path = ['services', spec.service, 'access', 'oidc', 'issuer'];
  return what === undefined ? [] : [{ key: `reach ${what}`, kind: 'reach', what, of: spec.service, path }];
}

/** Host and port of the provider of `access.oidc`, unless it runs on this machine. */
function providerOf({ access: { oidc } }: ServiceSpec): string | undefined {
  if (!oidc || !URL.canParse(oidc.issuer)) return undefined;
  const { hostname, port } = new URL(oidc.issuer);
  return isLoopback(hostname.replace(/^\[|\]$/g, '')) ? undefined : `${hostname}:${port || 443}`;
}

function targetsReached(spec: ServiceSpec): Permission[] {
  return targetsAt(spec).flatMap(({ target, path }) => {
    if (target.kind !== 'tcp' || isLoopback(target.host)) return [];
    const what = formatTarget({ ...target, tls: false });
    return [{ key: `reach ${what}`, kind: 'reach' as const, what, of: spec.service, path }];
  });
}

/** Variables whose values leave this machine. */
function sent(desired: Desired, root: Tree): Permission[] {
  const found: Permission[] = [];
  const add = (path: Path, readers: readonly string[]): void => {
    if (readers.length === 0 || found.length > MAX_COLLECTED) return;
    for (const name of variablesAt(root, path)) {
      // A relay knows the identity in `${id}`.
      if (name === 'id') continue;
      for (const of of readers) found.push({ key: `send ${name} ${of}`, kind: 'send', what: name, of, path });
    }
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
    const provider = providerOf(spec);
    if (provider !== undefined) add([...at, 'access', 'oidc'], [provider]);
    if (relaysHere.length > 0)
      for (const { prefix } of spec.routes) add([...at, 'routes', prefix, 'responseHeaders'], [VISITORS]);
    for (const { target, path } of targetsAt(spec)) {
      if (target.kind !== 'tcp' || isLoopback(target.host)) continue;
      const reader = [formatTarget({ ...target, tls: false })];
      // For a route or service written as a bare target, the path ends one level higher.
      const whole = child(treeAt(root, path.slice(0, -1)), 'target') ? path : path.slice(0, -1);
      add(whole, reader);
      for (const key of ['headers', 'host']) add([...path.slice(0, -1), key], reader);
      for (const key of ['health', 'host', 'targetTls']) add([...at, key], reader);
    }
  }
  return found;
}

/** The settings of a service that its relay receives. */
export const READ_BY_RELAYS = ['name', 'hostname', 'port', 'metadata'] as const;

/** The relays on other hosts that publish a service. */
function readersOf({ relays: own, onPool }: ServiceSpec, { candidates }: Desired): string[] {
  const named = own.flatMap(hopsOf).map(({ url }) => url);
  return candidates && onPool ? [...named, LISTED_RELAYS] : named;
}

/** The variables of every text at or below `path`. */
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
