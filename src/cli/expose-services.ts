import { resolve } from 'node:path';
import { PortalError } from '../lib/errors.js';
import { formatTarget, parseTarget } from '../net/target.js';

/** What the flags of `portal expose` mean, in the words of portal.yaml. */
export interface ExposeFlags {
  readonly tcp?: true;
  readonly udp?: true;
  readonly udpAddr?: string;
  readonly port?: number;
  readonly httpRoute?: readonly string[];
  readonly hostHeader?: string;
  readonly chain?: string;
  readonly pin?: string;
  readonly allowIp?: readonly string[];
  readonly inspect?: true;
  /** Its relay gives out names that the whole world can reach: their certificates are a public CA's. */
  readonly isPublic?: boolean;
}

/** A service as portal.yaml would say it. */
type Settings = Record<string, unknown>;

/** The name of the chain that `--chain` makes. */
export const EXPOSED_CHAIN = 'chain';

/** One service, or two of one name: datagrams beside what the target speaks. */
export function exposedServices(
  name: string,
  target: string | undefined,
  flags: ExposeFlags,
  cwd: string,
): Record<string, Settings> {
  const { tcp, udp, udpAddr, httpRoute, hostHeader, port, pin, allowIp, inspect, chain, isPublic } = flags;
  const tls = isPublic ? { tls: 'acme' } : {};
  const access = { ...(pin !== undefined && { pin }), ...(allowIp && { allowIps: allowIp }) };
  const common = {
    name,
    ...(Object.keys(access).length > 0 && { access }),
    ...(chain !== undefined && { via: EXPOSED_CHAIN }),
  };
  if (udpAddr !== undefined && !udp) throw usage('--udp-addr is where datagrams go: it needs --udp');
  if (httpRoute && (tcp || udp)) throw usage('--http-route is for HTTP: it goes without --tcp and --udp');
  if (hostHeader !== undefined && (tcp || udp))
    throw usage('--host-header is for HTTP: use it without --tcp and --udp');
  const http = {
    ...(inspect && { inspect }),
    ...(hostHeader !== undefined && { host: hostHeader }),
  };
  if (httpRoute) {
    const routes = Object.fromEntries(httpRoute.map((route) => readRoute(route, cwd)));
    if (target !== undefined && '/' in routes)
      throw usage('the target and --http-route /=… say the same thing twice');
    if (target !== undefined) routes['/'] = readTarget(target, cwd);
    return { [name]: { ...common, ...tls, mode: 'http', routes, ...http } };
  }
  if (target === undefined) throw usage('which service? Name its target', 'For example: portal expose 3000');
  if (port !== undefined && !tcp && !udp)
    throw usage('--port is a public port of the relay: it needs --tcp or --udp');
  const wanted = port === undefined ? {} : { port };
  const stream: Settings = { ...common, target: readTarget(target, cwd) };
  const datagrams: Settings = {
    ...common,
    ...wanted,
    mode: 'udp',
    target: readTarget(udpAddr ?? target, cwd),
  };
  if (udp && !tcp && udpAddr === undefined) return { [name]: datagrams };
  const main: Settings = {
    ...stream,
    ...(tcp ? { mode: 'tcp', ...wanted } : tls),
    ...http,
  };
  return { [name]: main, ...(udp && { [`${name}-udp`]: datagrams }) };
}

/** `/api=3001` as a route and its target. */
function readRoute(text: string, cwd: string): [string, string] {
  const [, path, target] = /^([^=]*)=(.+)$/.exec(text) ?? [];
  if (path === undefined || target === undefined)
    throw usage(`"${text}" is no route`, 'Write the path and where it goes, as in --http-route /api=3001.');
  return [path, readTarget(target, cwd)];
}

/** The target as a configuration would say it, with an absolute path. */
function readTarget(text: string, cwd: string): string {
  try {
    const target = parseTarget(text);
    return formatTarget(target.kind === 'unix' ? { ...target, path: resolve(cwd, target.path) } : target);
  } catch (error) {
    if (error instanceof RangeError) throw new PortalError('usage', error.message, { cause: error });
    throw error;
  }
}

export function usage(message: string, hint?: string): PortalError {
  return new PortalError('usage', message, hint === undefined ? {} : { hint });
}
