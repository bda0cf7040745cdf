import { readFile } from 'node:fs/promises';
import { isIPv6 } from 'node:net';
import { resolve } from 'node:path';
import { cannotRead, PortalError } from '../../lib/errors.js';
import type { Logger } from '../../lib/logger.js';
import type { MeetingPlace } from '../../relay/nodes/join-machines.js';
import { SharedFiles } from '../../relay/nodes/shared-files.js';
import { urlsOfHosts } from '../../relay/postgres/hosts.js';
import type { Context } from '../context.js';
import { usage } from '../expose-services.js';

/** The options of a relay that is one of several nodes. */
export interface ClusterOptions {
  /** As typed: a URL, or a file with one. */
  readonly cluster?: string;
  /** As typed. */
  readonly nodeAddress?: string;
  /** As typed. */
  readonly nodeHost?: string;
  readonly workers?: number;
  readonly tcpPorts?: unknown;
  readonly udpPorts?: unknown;
  readonly takeOver?: number;
}

/** What a relay of several nodes cannot do, and what to do instead. */
const UNSUPPORTED: readonly (readonly [keyof ClusterOptions, string, string])[] = [
  [
    'workers',
    '--workers',
    'Start one node for each core, each with its own --listen, --node-address and --metrics.',
  ],
  ['takeOver', '--take-over', 'Restart one node after the other.'],
];

/** So that the password of the database is not in the list of processes. */
const CLUSTER_ENV = 'PORTAL_CLUSTER';
const PROTOCOLS = ['postgres:', 'postgresql:'];

/** Parses and checks the options. Undefined for a relay of one node. Throws `usage`, never with the password. */
export async function clusterPlace(
  { env, cwd }: Pick<Context, 'env' | 'cwd'>,
  options: ClusterOptions,
  log: Logger,
): Promise<(MeetingPlace & { readonly nodeHost: string | undefined }) | undefined> {
  const { cluster, nodeAddress, nodeHost } = options;
  const given = cluster ?? (env[CLUSTER_ENV] || undefined);
  if (given === undefined) {
    const flag = nodeAddress === undefined ? nodeHost && '--node-host' : '--node-address';
    if (flag === undefined) return undefined;
    throw usage(`${flag} needs --cluster or ${CLUSTER_ENV}`);
  }
  if (nodeAddress === undefined)
    throw new PortalError('usage', 'a node of a relay needs an address for the other nodes', {
      hint: 'Add --node-address HOST:PORT, for example --node-address 10.0.0.5:7443.',
    });
  for (const [name, flag, hint] of UNSUPPORTED)
    if (options[name] !== undefined && options[name] !== 1)
      throw new PortalError('usage', `${flag} does not work with --cluster`, { hint });
  checkPorts(options);
  const from = cluster === undefined ? CLUSTER_ENV : '--cluster';
  const isUrl = given.includes('://');
  const url = isUrl ? given : await readUrl(resolve(cwd, given), from);
  const { password } = databaseUrl(url, isUrl ? from : given);
  if (cluster !== undefined && isUrl && password !== '')
    log.warn(
      {},
      `--cluster shows the password of the database to all users of this machine: use ${CLUSTER_ENV}, or --cluster FILE`,
    );
  const listen = parseNodeAddress(nodeAddress);
  return {
    url,
    nodeAddress,
    listen,
    files: new SharedFiles(),
    nodeHost: nodeHost && parseNodeHost(nodeHost),
  };
}

/** A public port exists at one node, and the domain leads to any. */
function checkPorts({ tcpPorts, udpPorts, nodeHost }: ClusterOptions): void {
  if (nodeHost !== undefined || (tcpPorts ?? udpPorts) === undefined) return;
  const flag = tcpPorts === undefined ? '--udp-ports' : '--tcp-ports';
  throw new PortalError('usage', `${flag} with --cluster needs a host that points to this node alone`, {
    hint: 'Add --node-host HOST, a name or IP address of this machine that visitors can reach.',
  });
}

const LABEL = '[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?';
const NAME = new RegExp(`^(?=.{1,253}$)${LABEL}(\\.${LABEL})*$`);

/** As agents show it, before a port. */
function parseNodeHost(text: string): string {
  const host = text.toLowerCase().replace(/^\[(.*)\]$|\.$/g, '$1');
  if (isIPv6(host) && !ANY.includes(host)) return `[${host}]`;
  if (!ANY.includes(host) && NAME.test(host)) return host;
  throw new PortalError('usage', `--node-host: "${text}" is not a host name or IP address`, {
    hint: 'Use a name or address that points to this node alone, without a port, for example --node-host n1.example.com.',
  });
}

async function readUrl(file: string, from: string): Promise<string> {
  try {
    return (await readFile(file, 'utf8')).trim();
  } catch (error) {
    throw new PortalError('usage', `${from}: ${cannotRead(file, error)}`, {
      hint: 'Use postgres://USER:PASSWORD@HOST/DATABASE, or a file with such a URL.',
    });
  }
}

/** `from` names where the URL is from, since the URL itself may contain a password. */
function databaseUrl(text: string, from: string): URL {
  const [url, ...others] = urlsOfHosts(text).map((one) => (URL.canParse(one) ? new URL(one) : undefined));
  if (url && PROTOCOLS.includes(url.protocol) && others.every(Boolean)) return url;
  throw new PortalError('usage', `${from} has no URL of a PostgreSQL database`, {
    hint: 'Use postgres://USER:PASSWORD@HOST/DATABASE. Write special characters of the password as %XX.',
  });
}

/** Addresses that mean every address of this machine. */
const ANY = ['', '0.0.0.0', '::', '*'];

function parseNodeAddress(text: string): MeetingPlace['listen'] {
  const match = /^(?:\[(?<v6>[0-9a-fA-F:.]+)\]|(?<host>[^\s:[\]]*)):(?<port>\d{1,5})$/.exec(text);
  const host = match?.groups?.['v6'] ?? match?.groups?.['host'] ?? '';
  const port = Number(match?.groups?.['port'] ?? 0);
  if (!ANY.includes(host) && port >= 1 && port <= 65_535) return { host, port };
  throw new PortalError(
    'usage',
    `--node-address: "${text}" is not an address that other nodes can connect to`,
    {
      hint: "Use this machine's own address and a port, for example --node-address 10.0.0.5:7443.",
    },
  );
}
