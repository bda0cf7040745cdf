import { PortalError } from '../../lib/errors.js';

/** A proxy, as an environment variable sets it. */
export interface ProxyServer {
  /** `socks5` resolves names on this machine; with `socks5h` the proxy does. */
  readonly kind: 'http' | 'https' | 'socks5' | 'socks5h';
  /** A name or an IP address, without brackets. */
  readonly host: string;
  readonly port: number;
  readonly credentials?: Credentials;
  /** The environment variable that sets it. */
  readonly variable: string;
}

/** The proxy for a URL, or undefined for a direct connection. Throws `proxy_invalid`. */
export type ProxyFor = (url: string) => ProxyServer | undefined;

interface Credentials {
  readonly user: string;
  readonly password: string;
}

/** Whether the error is about the proxy itself and not about the host behind it. */
export function isProxyError({ code }: PortalError): boolean {
  return code === 'proxy_invalid' || code === 'proxy_credentials' || code === 'proxy_refused';
}

/** The proxy's name in messages, always without its credentials. */
export function proxyName({ host, port }: ProxyServer): string {
  return `${host.includes(':') ? `[${host}]` : host}:${port}`;
}

/** The error for a server that does not speak the proxy protocol of its scheme. */
export function wrongProtocol(
  protocol: 'HTTP' | 'SOCKS5' | 'TLS',
  proxy: ProxyServer,
  scheme: ProxyServer['kind'],
): PortalError {
  return new PortalError('relay_unreachable', `the proxy ${proxyName(proxy)} does not speak ${protocol}`, {
    hint: `Use the scheme of its protocol, for example ${scheme}://.`,
  });
}

const KINDS: Readonly<Record<string, Pick<ProxyServer, 'kind' | 'port'>>> = {
  http: { kind: 'http', port: 80 },
  https: { kind: 'https', port: 443 },
  socks: { kind: 'socks5h', port: 1080 },
  socks5: { kind: 'socks5', port: 1080 },
  socks5h: { kind: 'socks5h', port: 1080 },
};

/**
 * Parses `[SCHEME://][USER[:PASSWORD]@]HOST[:PORT]`. Credentials may be percent-encoded or contain any character: the
 * last `@` ends them. Messages name `variable` only, because the text can contain a password.
 * @throws PortalError proxy_invalid
 */
export function parseProxy(text: string, variable: string): ProxyServer {
  const [, scheme = 'http', rest = ''] = /^(?:([^:/?#@]*):\/\/)?(.*)$/s.exec(text.trim())!;
  const known = Object.hasOwn(KINDS, scheme.toLowerCase()) ? KINDS[scheme.toLowerCase()]! : undefined;
  if (!known) throw invalid(variable, unknownScheme(scheme));
  const at = rest.lastIndexOf('@');
  const { host, port } = authority(rest.slice(at + 1), variable);
  const credentials = at === -1 ? undefined : credentialsOf(rest.slice(0, at));
  return { kind: known.kind, host, port: port ?? known.port, ...(credentials && { credentials }), variable };
}

function unknownScheme(scheme: string): string {
  if (/^socks4a?$/i.test(scheme)) return 'SOCKS4 is not supported';
  return 'the scheme must be http, https, socks5 or socks5h';
}

function authority(text: string, variable: string): { host: string; port: number | undefined } {
  const [, address, name, digits, path] =
    /^(?:\[([^\]]*)\]|([^:/?#[\]]*))(?::(\d*))?([/?#].*)?$/s.exec(text) ?? [];
  if (address === undefined && name === undefined) throw invalid(variable, 'HOST:PORT is malformed');
  if (path !== undefined && path !== '/') throw invalid(variable, 'a path follows HOST:PORT');
  const written = address === undefined ? name! : `[${address}]`;
  const port = digits ? Number(digits) : undefined;
  if (written === '') throw invalid(variable, 'the host is missing');
  if (port !== undefined && (port < 1 || port > 65_535)) throw invalid(variable, 'the port is out of range');
  const url = URL.canParse(`http://${written}/`) ? new URL(`http://${written}/`) : undefined;
  if (!url || /\s/.test(written)) throw invalid(variable, 'the host is malformed');
  return { host: url.hostname.replace(/^\[|\]$/g, ''), port };
}

function credentialsOf(text: string): Credentials | undefined {
  if (text === '') return undefined;
  const colon = text.indexOf(':');
  const [user, password] = colon === -1 ? [text, ''] : [text.slice(0, colon), text.slice(colon + 1)];
  return { user: decoded(user), password: decoded(password) };
}

/** A `%` without two hex digits after it is literal. */
function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

function invalid(variable: string, reason: string): PortalError {
  return new PortalError('proxy_invalid', `${variable} does not name a proxy: ${reason}`, {
    hint: `Set ${variable}=http://HOST:PORT, or unset it. Hosts in NO_PROXY need no proxy.`,
  });
}
