/** A local service that visitors reach. Plain data, comparable with `sameTarget`. */
export type Target =
  | { readonly kind: 'tcp'; readonly host: string; readonly port: number; readonly tls: boolean }
  | { readonly kind: 'unix'; readonly path: string };

const PORT = /^\d{1,5}$/;

/** The target of a command that listens on a free port, until the agent has chosen it. */
export const FREE_PORT: Target = { kind: 'tcp', host: 'localhost', port: 0, tls: false };

/**
 * Parses a target as in portal.yaml and `portal expose`: a port of this machine, `host:port`, `unix:/path`, or
 * `http(s)://host:port`. Throws a RangeError whose message says what is wrong. The caller adds the location.
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
  const bracketed = /^\[([0-9a-fA-F:.]+)\]:(\d+)$/.exec(input);
  if (bracketed) return tcp(bracketed[1]!, bracketed[2]!, false);
  const plain = /^([^\s:/@[\]]+):(\d+)$/.exec(input);
  if (plain && /^\d+$/.test(plain[1]!)) throw new RangeError(`"${input}" names a port where a host belongs`);
  if (plain) return tcp(plain[1]!, plain[2]!, false);
  throw new RangeError(`"${input}" is not a port, host:port, unix:/path or http(s)://host:port`);
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
  if (target.port === 0) return 'a free port';
  const host = target.host.includes(':') ? `[${target.host}]` : target.host;
  return `${target.tls ? 'https://' : ''}${host}:${target.port}`;
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
