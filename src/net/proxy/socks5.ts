import { isIP, type Socket } from 'node:net';
import ipaddr from 'ipaddr.js';
import { PortalError } from '../../lib/errors.js';
import { wantsCredentials } from './http-connect.js';
import { proxyName, wrongProtocol, type ProxyServer } from './server.js';

/** The client side of SOCKS5 (RFC 1928), with user name and password (RFC 1929). */

const VERSION = 5;
const [NO_CREDENTIALS, PASSWORD, NOTHING_FITS] = [0, 2, 0xff];
const CONNECT = 1;
const [IPV4, NAME, IPV6] = [1, 3, 4];
const MAX_FIELD_BYTES = 255;
const REFUSALS = [
  '',
  'general failure',
  'not allowed',
  'network unreachable',
  'host unreachable',
  'connection refused',
  'timed out',
  'CONNECT is not supported',
  'the address type is not supported',
];

/** Tells the proxy at the other end of `socket` to connect to `host`. */
export async function socksConnect(
  proxy: ProxyServer,
  socket: Socket,
  host: string,
  port: number,
): Promise<void> {
  const { credentials } = proxy;
  const methods = credentials ? [NO_CREDENTIALS, PASSWORD] : [NO_CREDENTIALS];
  socket.write(Buffer.from([VERSION, methods.length, ...methods]));
  const [version, method] = await take(proxy, socket, 2);
  if (version !== VERSION) throw wrongProtocol('SOCKS5', proxy, 'http');
  if (method === NOTHING_FITS) throw wantsCredentials(proxy);
  if (method === PASSWORD && credentials) {
    socket.write(Buffer.from([1, ...field(credentials.user), ...field(credentials.password)]));
    const [, status] = await take(proxy, socket, 2);
    if (status !== 0) throw wantsCredentials(proxy);
  } else if (method !== NO_CREDENTIALS) throw wrongProtocol('SOCKS5', proxy, 'http');
  socket.write(Buffer.from([VERSION, CONNECT, 0, ...address(host), port >> 8, port & 0xff]));
  const [again, reply, , kind] = await take(proxy, socket, 4);
  if (again !== VERSION) throw wrongProtocol('SOCKS5', proxy, 'http');
  if (reply !== 0) {
    const reason = REFUSALS[reply!] ?? `code ${reply}`;
    const target = `${host.includes(':') ? `[${host}]` : host}:${port}`;
    throw new PortalError('proxy_refused', `the proxy ${proxyName(proxy)} rejected ${target} (${reason})`);
  }
  // Skip the address that the proxy connects from.
  const length = kind === IPV4 ? 4 : kind === IPV6 ? 16 : (await take(proxy, socket, 1))[0]!;
  await take(proxy, socket, length + 2);
}

function field(text: string): Uint8Array {
  const bytes = Buffer.from(text);
  if (bytes.length > MAX_FIELD_BYTES)
    throw new PortalError('proxy_invalid', 'a user name or password for SOCKS5 is longer than 255 bytes');
  return Buffer.concat([Buffer.from([bytes.length]), bytes]);
}

function address(host: string): readonly number[] {
  if (isIP(host) === 0) return [NAME, ...field(host)];
  const parsed = ipaddr.parse(host.split('%', 1)[0]!);
  return [parsed.kind() === 'ipv4' ? IPV4 : IPV6, ...parsed.toByteArray()];
}

function ended(proxy: ProxyServer): PortalError {
  return new PortalError('relay_unreachable', `the proxy ${proxyName(proxy)} closed the connection`);
}

/** Reads exactly `bytes` bytes. Later bytes stay in the socket. */
function take(proxy: ProxyServer, socket: Socket, bytes: number): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const settle = (then: () => void): void => {
      socket.off('readable', look).off('error', fail).off('end', end).off('close', end);
      then();
    };
    const look = (): void => {
      const chunk = socket.read(bytes) as Buffer | null;
      if (chunk === null) return;
      settle(() => (chunk.length === bytes ? resolve(chunk) : reject(ended(proxy))));
    };
    const fail = (error: Error): void => settle(() => reject(error));
    const end = (): void => fail(ended(proxy));
    socket.on('readable', look).on('error', fail).on('end', end).on('close', end);
    look();
  });
}
