import { request as httpRequest, type IncomingMessage } from 'node:http';
import type { Socket } from 'node:net';
import { PortalError, systemCode } from '../../lib/errors.js';
import { proxyName, wrongProtocol, type ProxyServer } from './server.js';

/** Limit of authentication schemes that an error lists. */
const MAX_SCHEMES = 4;

/** Requests a tunnel from the HTTP proxy at the other end of `socket` (`CONNECT`, RFC 9110 §9.3.6). */
export function httpConnect(proxy: ProxyServer, socket: Socket, host: string, port: number): Promise<Socket> {
  const target = `${host.includes(':') ? `[${host}]` : host}:${port}`;
  return new Promise((resolve, reject) => {
    const request = httpRequest({
      method: 'CONNECT',
      path: target,
      createConnection: () => socket,
      headers: {
        host: target,
        ...(proxy.credentials && { 'proxy-authorization': basic(proxy.credentials) }),
      },
    });
    request.once('connect', (response, tunnel: Socket, head: Buffer) => {
      if (!String(response.statusCode).startsWith('2')) return reject(refusal(proxy, target, response));
      tunnel.setTimeout(0);
      if (head.length > 0) tunnel.unshift(head);
      resolve(tunnel);
    });
    // Node's error is replaced: it contains the response, which may echo our request with the credentials.
    request.once('error', (error) =>
      reject(systemCode(error)?.startsWith('HPE_') ? wrongProtocol('HTTP', proxy, 'socks5h') : error),
    );
    request.end();
  });
}

function basic({ user, password }: NonNullable<ProxyServer['credentials']>): string {
  return `Basic ${Buffer.from(`${user}:${password}`).toString('base64')}`;
}

function refusal(proxy: ProxyServer, target: string, { statusCode, headers }: IncomingMessage): PortalError {
  const name = proxyName(proxy);
  // Some proxies respond with 401, for example tinyproxy to wrong credentials. Only the proxy can respond to CONNECT.
  if (statusCode !== 407 && statusCode !== 401)
    return new PortalError('proxy_refused', `the proxy ${name} rejected ${target} (${statusCode})`);
  const schemes = [headers['proxy-authenticate'] ?? headers['www-authenticate'] ?? []]
    .flat()
    .flatMap((field) => field.match(/(?:^|,)\s*[a-z]+(?=\s|,|$)/gi) ?? [])
    .map((scheme) => scheme.replace(/^,?\s*/, ''));
  const named = [...new Set(schemes)].slice(0, MAX_SCHEMES);
  if (schemes.length > 0 && !schemes.some((scheme) => /^basic$/i.test(scheme))) {
    return new PortalError(
      'proxy_credentials',
      `the proxy ${name} requires ${named.join(' or ')} authentication, and Portal supports only Basic`,
      {
        hint: 'Run a local proxy that authenticates for you, such as cntlm or px, and set the variable to it.',
      },
    );
  }
  return wantsCredentials(proxy);
}

/** No credentials were given, or wrong ones. */
export function wantsCredentials(proxy: ProxyServer): PortalError {
  const name = proxyName(proxy);
  return new PortalError(
    'proxy_credentials',
    proxy.credentials
      ? `the proxy ${name} rejected the user name and password`
      : `the proxy ${name} requires credentials`,
    {
      hint: `Add them to ${proxy.variable}: ${proxy.kind}://USER:PASSWORD@${name}. Write % as %25.`,
    },
  );
}
