/** A local service that visitors reach. Plain data, comparable with `sameTarget`. */
export type Target =
  | {
      readonly kind: 'tcp';
      readonly host: string;
      /** 0: the agent chooses the port, for a command or a folder. */
      readonly port: number;
      readonly tls: boolean;
      /** Path of the folder that the agent serves there. */
      readonly folder?: string;
    }
  | { readonly kind: 'unix'; readonly path: string };

/** What a target may be, for messages. */
export const TARGET_FORMS = 'a port, host:port, unix:/path, http(s)://host:port or a folder such as ./public';

const PORT = /^\d{1,5}$/;

/** The target of a command that listens on a free port, until the agent has chosen it. */
export const FREE_PORT: Target = { kind: 'tcp', host: 'localhost', port: 0, tls: false };

/** A path as in `./public`, `..` or `/srv/site`. On Windows also with a drive. */
const FOLDER = /^(?:\.{1,2}(?:[/\\]|$)|\/|[A-Za-z]:[\\/])/;

/**
 * Parses a target as in portal.yaml and `portal expose`: a port of this machine, `host:port`, `unix:/path`,
 * `http(s)://host:port`, or the path of a folder. Throws a RangeError whose message says what is wrong. The caller adds the location.
 */
export function parseTarget(text: string | number): Target {
  const input = String(text).trim();
  if (PORT.test(input)) return tcp('localhost', input, false);
  if (input.startsWith('unix:')) {
    const path = input.slice('unix:'.length);
    if (!path) throw new RangeError('a unix target requires a path, for example unix:/run/app.sock');
    return { kind: 'unix', path };
  }
  if (/^https?:\/\//i.test(input)) return fromUrl(input);
  if (FOLDER.test(input)) return { kind: 'tcp', host: '127.0.0.1', port: 0, tls: false, folder: input };
  const bracketed = /^\[([0-9a-fA-F:.]+)\]:(\d+)$/.exec(input);
  if (bracketed) return tcp(bracketed[1]!, bracketed[2]!, false);
  const plain = /^([^\s:/@[\]]+):(\d+)$/.exec(input);
  if (plain && /^\d+$/.test(plain[1]!)) throw new RangeError(`"${input}" names a port where a host belongs`);
  if (plain) return tcp(plain[1]!, plain[2]!, false);
  throw new RangeError(`"${input}" is not ${TARGET_FORMS}`);
}

function fromUrl(input: string): Target {
  if (!URL.canParse(input)) throw new RangeError(`"${input}" is not a valid URL`);
  const url = new URL(input);
  if (url.username || url.password)
    throw new RangeError('a target URL cannot contain a user name or password');
  if (url.pathname !== '/' || url.search || url.hash) {
    throw new RangeError(
      `a target URL ends after its port; "${url.pathname}${url.search}${url.hash}" has no meaning here`,
    );
  }
  const tls = url.protocol === 'https:';
  return tcp(url.hostname.replace(/^\[|\]$/g, ''), url.port || (tls ? '443' : '80'), tls);
}

function tcp(host: string, portText: string, tls: boolean): Target {
  const port = Number(portText);
  if (port < 1 || port > 65535) throw new RangeError(`port ${portText} is not within 1 to 65535`);
  return { kind: 'tcp', host, port, tls };
}

/** The target as a person writes it. */
export function formatTarget(target: Target): string {
  if (target.kind === 'unix') return `unix:${target.path}`;
  if (target.folder !== undefined) return target.folder;
  if (target.port === 0) return 'a free port';
  const host = target.host.includes(':') ? `[${target.host}]` : target.host;
  return `${target.tls ? 'https://' : ''}${host}:${target.port}`;
}

/** The name of a target in a Host header, for Portal's own requests. */
export function targetHost(target: Target): string {
  if (target.kind === 'unix') return 'localhost';
  const host = target.host.includes(':') ? `[${target.host}]` : target.host;
  return `${host}:${target.port}`;
}

/**
 * The target with an absolute path, if it has one.
 *
 * @param resolve makes a path absolute
 */
export function withAbsolutePath(target: Target, resolve: (path: string) => string): Target {
  if (target.kind === 'unix') return { ...target, path: resolve(target.path) };
  return target.folder === undefined ? target : { ...target, folder: resolve(target.folder) };
}

/**
 * Whether `host` names this machine on any loopback address: `localhost` and its subdomains (RFC 6761, section 6.3). No
 * resolver is used: some do not know these names, or return only one address.
 */
export function isThisMachine(host: string): boolean {
  return /(^|\.)localhost\.?$/i.test(host);
}

/** Whether traffic to `host` stays on this machine. */
export function isLoopback(host: string): boolean {
  return isThisMachine(host) || host === '::1' || /^127(\.\d{1,3}){3}$/.test(host);
}
