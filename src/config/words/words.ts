import type { Schema } from '../schema/schema.js';
import { relaysAdvice } from './advice.js';
import { portalSchema } from '../schema/schema.js';
import { child, textOf, treeAt, type Path, type Tree } from '../text/tree.js';

export const EXPECTED_LABEL = 'one DNS label: 1 to 63 of a–z, 0–9 and hyphens, with no hyphen at either end';

/** Descriptions of expected values, for schema definitions that a type does not explain. */
const EXPECTED: Readonly<Record<string, string>> = {
  service: 'a port, `host:port`, `unix:/path`, `http(s)://host:port`, a folder, or a mapping',
  route: 'a port, `host:port`, `unix:/path`, `http(s)://host:port`, a folder, or a mapping',
  target: 'a port, `host:port`, `unix:/path`, `http(s)://host:port` or a folder',
  relay: 'an https:// URL, or a mapping with `url` and `ca`',
  relayUrl: 'the URL of a relay, such as https://relay.example.com:8443',
  httpsUrl: 'an https:// URL',
  envFile: 'a path, a mapping with `path`, or a list of these',
  include: 'a path, or a list of paths',
  envFileEntry: 'a path, or a mapping with `path`',
  machine: 'a name of at most 64 characters, or `false`',
  machineName: 'a name for a machine: it has control characters',
  email: 'an e-mail address',
  dnsLabel: EXPECTED_LABEL,
  duration: 'a time such as 30m, 8h or 7d, or a moment such as 2027-01-31T18:00:00Z',
  tls: '`auto`, `local`, `acme`, or a mapping with `source`, or with `cert` and `key`',
  health: 'a path, or a mapping',
  inspect: '`true`, `false`, or a mapping with `mask` or `history`',
  history: '`true`, `false`, or a mapping with `maxAge`',
  hold: 'a time such as 90s, 10m, 8h or 7d',
  keepFor: 'a time such as 30m, 8h or 7d',
  headerValue: 'text, or null to remove the header',
  address: '`0x` and 40 hex digits',
  host: '`visitor`, `target`, or a name such as localhost:3000',
  healthPath: 'a path that begins with `/`',
  rate: 'a number of requests per second, minute or hour, such as 10/s, 600/m or 5000/h',
  visitor: '`0x` and 40 hex digits, or `team`',
  headerName: 'the name of a header field, such as X-Signature',
  command: 'a command for the shell, such as npm run dev',
};

let definitionNames: Map<Schema, string> | undefined;

/** The name of a definition of the schema. */
export function definitionOf(schema: Schema): string | undefined {
  // ajv reports the same schema objects that it compiled.
  definitionNames ??= new Map(Object.entries(portalSchema().$defs ?? {}).map(([name, part]) => [part, name]));
  return definitionNames.get(schema);
}

/** A description of the values that fit a part of the schema. */
export function expected(schema: Schema): string {
  return EXPECTED[definitionOf(schema) ?? ''] ?? 'a hostname';
}

/** Portal's name for a key that other programs call `key`. */
export function synonymOf(key: string, path: Path, schema: Schema): string | undefined {
  const synonym = Object.hasOwn(SYNONYMS, key) ? SYNONYMS[key] : undefined;
  return synonym !== undefined && isKnownAt(synonym, path, schema) ? synonym : undefined;
}

/** Names from other programs, and their names in Portal. */
const SYNONYMS: Readonly<Record<string, string>> = {
  addr: 'target',
  address: 'target',
  upstream: 'target',
  ports: 'target',
  url: 'target',
  backend: 'target',
  service: 'target',
  local_port: 'target',
  localPort: 'target',
  subdomain: 'name',
  remotePort: 'port',
  remote_port: 'port',
  localIP: 'target',
  local_ip: 'target',
  basic_auth: 'access.basic',
  basicAuth: 'access.basic',
  proto: 'mode',
  protocol: 'mode',
  type: 'mode',
  domain: 'hostname',
  host: 'hostname',
  password: 'access.pin',
  allow_ips: 'access.allowIps',
  oauth: 'access.oidc',
  oidc: 'access.oidc',
  whitelist: 'access.allowIps',
  chain: 'via',
  path: 'routes',
  paths: 'routes',
  labels: 'metadata',
  tunnels: 'services',
  proxies: 'services',
  relay: 'relays',
  environment: 'env',
  env_file: 'envFile',
  depends_on: 'dependsOn',
  working_dir: 'cwd',
  workdir: 'cwd',
  dir: 'cwd',
  directory: 'cwd',
  run: 'command',
  cmd: 'command',
  exec: 'command',
  script: 'command',
  healthcheck: 'health',
  health_check: 'health',
  ssl: 'tls',
};

const OF_COMPOSE = 'Docker Compose has this key, and Portal does not. Remove it.';
const NO_TOKENS =
  'Portal has no tokens. The operator of a relay can list your identity with `portal relay --allow`; `portal identity` shows it.';

/** Keys of other programs without an equivalent, with what to do instead. */
const FOREIGN_KEYS: Readonly<Record<'service' | 'relays', Readonly<Record<string, string>>>> = {
  service: {
    image: OF_COMPOSE,
    build: OF_COMPOSE,
    container_name: OF_COMPOSE,
    networks: OF_COMPOSE,
    restart: OF_COMPOSE,
    volumes: OF_COMPOSE,
    schemes: 'Remove it: every service has an https:// URL.',
    region: 'Portal has no regions. Name a relay near you in `relays`.',
    auth: 'For user names and passwords, use `access.basic`. For one PIN, use `access.pin`.',
  },
  relays: {
    token: NO_TOKENS,
    authtoken: NO_TOKENS,
    auth: NO_TOKENS,
    region: 'Portal has no regions. Name a relay near you in `urls`.',
  },
};

/** The place of a key that exists only in another mapping. */
const PLACES: readonly (readonly [definition: string, home: string])[] = [
  ['access', '`access` of a service'],
  ['serviceOptions', 'a service'],
  ['pool', '`relays`'],
  ['routeOptions', 'a route in `routes`'],
  ['tlsOptions', '`tls`'],
  ['oidcAllow', '`allow` of `access.oidc`'],
  ['inspectOptions', '`inspect`'],
  ['historyOptions', '`history` of `inspect`'],
  ['envFileOptions', '`envFile`'],
];

/** A hint for a key that exists elsewhere or under another name. Undefined for an unknown key. */
export function misplaced(key: string, path: Path, root: Tree, schema: Schema): string | undefined {
  const value = treeAt(root, [...path, key]);
  const has = (definition: string, name: string): boolean =>
    Object.hasOwn(schema.$defs?.[definition]?.properties ?? {}, name);
  const foreign = foreignKey(key, path);
  if (foreign !== undefined) return foreign;
  if (key === 'relay' && path.length === 0) {
    const advised = relaysAdvice(value);
    if (advised !== undefined) return advised;
  }
  if (key === 'env_file' && path.length > 0)
    return 'Portal calls it `envFile`, and it belongs at the top level.';
  const synonym = synonymOf(key, path, schema);
  if (synonym !== undefined) return `Portal calls it \`${synonym}\`.`;
  if (path.length === 0 && !Object.hasOwn(schema.properties ?? {}, key) && isLikelyService(value)) {
    return child(root, 'services') === undefined
      ? 'Write `version: 1`, then `services:`, and indent this below it.'
      : 'Indent it below `services:`.';
  }
  if (path.length > 0 && Object.hasOwn(schema.properties ?? {}, key))
    return `\`${key}\` belongs at the top level.`;
  if (path[0] === 'services' && path.length === 2 && has('access', key))
    return `Write \`access: { ${key}: … }\`.`;
  const home = PLACES.find(([name]) => has(name, key));
  return home && `\`${key}\` belongs in ${home[1]}.`;
}

function foreignKey(key: string, path: Path): string | undefined {
  const isService = path[0] === 'services' && path.length === 2;
  const isRelays = path[0] === 'relays' && path.length === 1;
  const keys = isService ? FOREIGN_KEYS.service : isRelays ? FOREIGN_KEYS.relays : {};
  return Object.hasOwn(keys, key) ? keys[key] : undefined;
}

/** Whether another program calls the target `key`. */
export const meansTarget = (key: string): boolean =>
  Object.hasOwn(SYNONYMS, key) && SYNONYMS[key] === 'target';

function isKnownAt(dotted: string, path: Path, schema: Schema): boolean {
  const [first = ''] = dotted.split('.');
  const here =
    path.length === 0
      ? schema
      : path[0] === 'services' && path.length === 2
        ? schema.$defs?.['serviceOptions']
        : undefined;
  return Object.hasOwn(here?.properties ?? {}, first);
}

export function isLikelyService(value: Tree | undefined): boolean {
  if (value?.kind === 'map') return value.entries.has('target') || value.entries.has('mode');
  return /^(\d+|[\w.-]+:\d+)$/.test(textOf(value) ?? '');
}
