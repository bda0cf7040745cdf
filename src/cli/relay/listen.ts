import { asPortalError, PortalError, systemCode } from '../../lib/errors.js';
import { covers } from '../../certificates/local-names.js';
import { isLoopback } from '../../net/target/target.js';
import { checkListen, listenHosts } from '../../relay/public-port/listen.js';

/** The addresses of `portal relay`: whether it may listen there, and what to do if not. */

const FIRST_UNPRIVILEGED_PORT = 1_024;
const HTTPS_PORT = 443;
/** The port of a relay without `--listen`. */
const DEFAULT_PORT = 8_443;

/** Addresses with one port, and the option that sets them. */
export interface Place {
  readonly hosts: readonly string[];
  readonly port: number;
  readonly option: string;
}

const LISTEN = '--listen HOST:PORT';

/** Throws if an address is in use or not permitted. */
export async function checkPlaces(places: readonly Place[]): Promise<void> {
  for (const { hosts, port, option } of places)
    await checkListen({ hosts: listenHosts(hosts), port }).catch(async (error: unknown) => {
      throw await explainListen(asPortalError(error), option);
    });
}

/** Adds a hint for the operator of a relay if `error` is about an address. */
export async function explainListen(error: PortalError, option = LISTEN): Promise<PortalError> {
  const { cause, code, message } = error;
  const { port } = (cause ?? {}) as { port?: number };
  if (error.hint !== undefined || port === undefined) return error;
  if (code === 'address_in_use')
    return new PortalError(code, message, {
      cause,
      hint: `Stop ${await holderOf(port)}, or choose another port with ${option}.`,
    });
  if (code !== 'listen_failed') return error;
  const hint = hintFor(systemCode(cause), port);
  return hint === undefined ? error : new PortalError(code, message, { cause, hint });
}

function hintFor(reason: string | undefined, port: number): string | undefined {
  if (reason === 'EADDRNOTAVAIL')
    return 'Listen on an address that this machine has (ip addr shows them), or on all of them: --listen :PORT.';
  if (reason !== 'EACCES' || port >= FIRST_UNPRIVILEGED_PORT) return undefined;
  return [
    'Ports below 1024 need a permission.',
    'Run the relay with the systemd socket of the package (deploy/portal-relay.socket), give it the capability CAP_NET_BIND_SERVICE,',
    `or let a NAT or container map port ${port} to a higher one: --listen :8443 --public-port ${port}.`,
  ].join(' ');
}

async function holderOf(port: number): Promise<string> {
  const { portHolder } = await import('../doctor/port-holder.js');
  const holder = await portHolder(port);
  return holder ?? `the program that uses port ${port} (ss -ltnp 'sport = :${port}' shows it)`;
}

interface Public {
  readonly hosts: readonly string[];
  readonly port: number;
  readonly domain: string;
  readonly acme?: boolean;
  /** Set if a NAT or proxy is in front of the relay. */
  readonly publicPort?: number;
  readonly acceptProxyProtocol?: readonly string[];
}

/** A warning if a relay with a public domain listens only on loopback addresses, without a proxy in front of it. */
export function unreachableFromOutside({
  hosts,
  port,
  domain,
  acme = false,
  publicPort,
  acceptProxyProtocol,
}: Public): { message: string; hint: string } | undefined {
  const isProxied = publicPort !== undefined || acceptProxyProtocol !== undefined;
  if (isProxied || !hosts.every(isLoopback) || (covers(domain) && !acme)) return undefined;
  const others = acme ? 'visitors and the CA' : 'visitors';
  return {
    message: `the relay listens on ${hosts.join(' and ')} only, so ${others} cannot reach it`,
    hint: `Listen on all addresses: --listen :${port === DEFAULT_PORT ? HTTPS_PORT : port}. If a proxy on this machine forwards port 443, add --public-port 443.`,
  };
}
