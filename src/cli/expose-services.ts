import { resolve } from 'node:path';
import { TARGET_EXAMPLES, targetAdvice } from '../config/words/advice.js';
import { PortalError } from '../lib/errors.js';
import { formatTarget, parseTarget, withAbsolutePath } from '../net/target/target.js';

/** The flags of `portal expose`. */
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
  readonly allowIdentity?: readonly string[];
  readonly inspect?: true;
}

/** A service in the format of portal.yaml. */
type Settings = Record<string, unknown>;

/** The name of the chain from `--chain`. */
export const EXPOSED_CHAIN = 'chain';

/** One service, or two under one name: one for datagrams, one for the target. Throws `usage`. */
export function exposedServices(
  name: string,
  target: string | undefined,
  flags: ExposeFlags,
  cwd: string,
): Record<string, Settings> {
  const { tcp, udp, udpAddr, httpRoute, hostHeader, port, pin, allowIp, allowIdentity, inspect, chain } =
    flags;
  const access = {
    ...(pin !== undefined && { pin }),
    ...(allowIp && { allowIps: allowIp }),
    ...(allowIdentity && { identities: allowIdentity }),
  };
  const common = {
    name,
    ...(Object.keys(access).length > 0 && { access }),
    ...(chain !== undefined && { via: EXPOSED_CHAIN }),
  };
  if (udpAddr !== undefined && !udp) throw usage('--udp-addr needs --udp');
  if (httpRoute && (tcp || udp)) throw usage('--http-route cannot be used with --tcp or --udp');
  if (hostHeader !== undefined && (tcp || udp))
    throw usage('--host-header cannot be used with --tcp or --udp');
  const http = {
    ...(inspect && { inspect }),
    ...(hostHeader !== undefined && { host: hostHeader }),
  };
  if (httpRoute) {
    const routes = Object.fromEntries(httpRoute.map((route) => readRoute(route, cwd)));
    if (target !== undefined && '/' in routes)
      throw usage('the target and --http-route /=… both set the target of /', 'Remove one of them.');
    if (target !== undefined) routes['/'] = readTarget(target, cwd);
    return { [name]: { ...common, mode: 'http', routes, ...http } };
  }
  if (target === undefined)
    throw usage('the target is missing', 'Name your service, for example: portal expose 3000');
  if (port !== undefined && !tcp && !udp) throw usage('--port needs --tcp or --udp');
  const publicPort = port === undefined ? {} : { port };
  const stream: Settings = { ...common, target: readTarget(target, cwd) };
  const datagrams: Settings = {
    ...common,
    ...publicPort,
    mode: 'udp',
    target: readTarget(udpAddr ?? target, cwd),
  };
  if (udp && !tcp && udpAddr === undefined) return { [name]: datagrams };
  const main: Settings = {
    ...stream,
    ...(tcp && { mode: 'tcp', ...publicPort }),
    ...http,
  };
  return { [name]: main, ...(udp && { [`${name}-udp`]: datagrams }) };
}

/** Parses `/api=3001` into a path and a target. */
function readRoute(text: string, cwd: string): [string, string] {
  const [, path, target] = /^([^=]*)=(.+)$/.exec(text) ?? [];
  if (path === undefined || target === undefined)
    throw usage(`"${text}" is not a route`, 'Write a path and a target, for example --http-route /api=3001.');
  return [path, readTarget(target, cwd)];
}

/** The target in the format of portal.yaml, with an absolute path. */
function readTarget(text: string, cwd: string): string {
  try {
    const target = parseTarget(text);
    return formatTarget(withAbsolutePath(target, (path) => resolve(cwd, path)));
  } catch (error) {
    if (error instanceof RangeError)
      throw new PortalError('usage', error.message, { cause: error, hint: targetHint(text) });
    throw error;
  }
}

/** What to write instead of a target, in terms of flags. */
function targetHint(text: string): string {
  return (targetAdvice(text) ?? TARGET_EXAMPLES)
    .replace(/`\{ target: (\S+), mode: (\w+) \}`/, '$1, and add --$2')
    .replace(/`routes: \{ (\S+): (\S+) \}`/, '--http-route $1=$2');
}

export function usage(message: string, hint?: string): PortalError {
  return new PortalError('usage', message, hint === undefined ? {} : { hint });
}
