import { isIP, type Socket } from 'node:net';
import { PortalError, systemCode } from '../../lib/errors.js';
import { failureReason } from '../../lib/failure-reason.js';
import { within } from '../../lib/wait.js';
import { dial, secure, tlsNameOf, type TcpOptions } from '../dial.js';
import { addressesByFamily } from '../resolve.js';
import { httpConnect } from './http-connect.js';
import { proxyName, wrongProtocol, type ProxyServer } from './server.js';
import { socksConnect } from './socks5.js';

export interface ThroughOptions {
  readonly host: string;
  readonly port: number;
  /** Timeout of everything, from the connection to the proxy to its response. */
  readonly ms: number;
  readonly signal?: AbortSignal | undefined;
  /** Socket options. */
  readonly tcp?: TcpOptions;
}

/**
 * A connection to `host` through `proxy`. Throws `proxy_refused`, `proxy_credentials`, `timeout`, or `relay_unreachable`
 * if the proxy is unreachable. No error contains its credentials.
 */
export async function openThrough(proxy: ProxyServer, options: ThroughOptions): Promise<Socket> {
  const { ms, signal } = options;
  const stop = new AbortController();
  const opening = open(proxy, options, signal ? AbortSignal.any([signal, stop.signal]) : stop.signal);
  try {
    return await within(opening, ms, `the proxy ${proxyName(proxy)}`, signal);
  } catch (error) {
    stop.abort();
    opening.catch(() => undefined);
    throw inWords(error, proxy);
  }
}

async function open(proxy: ProxyServer, options: ThroughOptions, signal: AbortSignal): Promise<Socket> {
  if (proxy.kind !== 'socks5' || isIP(options.host) !== 0)
    return openTo(options.host, proxy, options, signal);
  const addresses = await addressesOf(options.host);
  for (const address of addresses.slice(0, -1)) {
    try {
      return await openTo(address, proxy, options, signal);
    } catch (error) {
      // The proxy may support only one of the two address families.
      if (!(error instanceof PortalError && error.code === 'proxy_refused')) throw error;
    }
  }
  return openTo(addresses.at(-1)!, proxy, options, signal);
}

/** Destroys the connection when `signal` aborts. */
async function openTo(
  host: string,
  proxy: ProxyServer,
  { port, ms, tcp }: ThroughOptions,
  signal: AbortSignal,
): Promise<Socket> {
  const what = `the proxy ${proxyName(proxy)}`;
  const plain = await dial({ host: proxy.host, port: proxy.port, ms, signal, what, ...(tcp && { tcp }) });
  const abort = (): void => void plain.destroy();
  signal.addEventListener('abort', abort, { once: true });
  try {
    const socket = await ask(proxy, plain, host, port);
    // This listener stays, so that a later error does not end the process. The owner adds another one.
    socket.on('error', () => undefined);
    return socket;
  } catch (error) {
    plain.destroy();
    throw error;
  } finally {
    signal.removeEventListener('abort', abort);
  }
}

async function ask(proxy: ProxyServer, plain: Socket, host: string, port: number): Promise<Socket> {
  if (proxy.kind === 'http') return httpConnect(proxy, plain, host, port);
  if (proxy.kind === 'https') return httpConnect(proxy, await secured(proxy, plain), host, port);
  await socksConnect(proxy, plain, host, port);
  return plain;
}

function secured(proxy: ProxyServer, plain: Socket): Promise<Socket> {
  const { host } = proxy;
  return new Promise((resolve, reject) => {
    const socket = secure(plain, {
      ALPNProtocols: ['http/1.1'],
      ...tlsNameOf(host),
    });
    socket.once('secureConnect', () => resolve(socket)).once('error', reject);
    socket.once('close', () =>
      reject(
        new PortalError(
          'relay_unreachable',
          `the proxy ${proxyName(proxy)} closed the connection during the TLS handshake`,
        ),
      ),
    );
  });
}

/** The first address of each family that this machine resolves; at least one. */
async function addressesOf(host: string): Promise<readonly string[]> {
  const found = await addressesByFamily(host).catch((error: unknown) => {
    throw new PortalError(
      'relay_unreachable',
      `${host} does not resolve on this machine: ${failureReason(error)}`,
      {
        cause: error,
        hint: 'Write socks5h:// to have the proxy look names up.',
      },
    );
  });
  return [found[4], found[6]].flatMap(([first]) => first ?? []);
}

function inWords(error: unknown, proxy: ProxyServer): PortalError {
  if (error instanceof PortalError && error.code !== 'internal') return error;
  const code = systemCode(error);
  if (proxy.kind === 'https' && code === 'ERR_SSL_WRONG_VERSION_NUMBER')
    return wrongProtocol('TLS', proxy, 'http');
  const reason = failureReason(error);
  const hint =
    code !== undefined && /CERT|SIGNATURE|ISSUER/.test(code)
      ? 'Trust the CA of the proxy: set NODE_EXTRA_CA_CERTS to its file.'
      : `Check ${proxy.variable}, and your network. Hosts in NO_PROXY need no proxy.`;
  return new PortalError('relay_unreachable', `the proxy ${proxyName(proxy)} is unreachable: ${reason}`, {
    cause: error,
    hint,
  });
}
