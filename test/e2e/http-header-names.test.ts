import { describe, expect, it } from 'vitest';
import { askH2, edge, h2Visitor, HOST, raw, rawTarget, VISITOR, type Edge } from '../support/http-edge.js';

const OK = 'HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n';

/** Header names that some targets trust, and that a proxy in front of them must set. */
const BELIEVED = [
  // With the variants that CGI and WSGI treat as equal.
  'SCRIPT_NAME',
  'PATH_INFO',
  'X_Forwarded_For',
  'Remote_User',
  'X_Anything',
  'X.Auth',
  'X~Auth',
  // The visitor's address.
  'Client-IP',
  'X-Client-IP',
  'X-Forwarded',
  'Forwarded-For',
  'Proxy-Client-IP',
  'WL-Proxy-Client-IP',
  'CF-Connecting-IP',
  'CF-Connecting-IPv6',
  'Fastly-Client-IP',
  'True-Client-IP',
  'X-Real-IP',
  'X-Cluster-Client-IP',
  'X-Remote-Addr',
  'X-Original-Forwarded-For',
  'X-Envoy-External-Address',
  // Scheme, host and path.
  'Front-End-Https',
  'X-Url-Scheme',
  'X-Host',
  'X-Original-URI',
  'X-Script-Name',
  // The user.
  'X-SSL-Client-Verify',
  'X-SSL-Anything',
  'SSL-Client-Cert',
  'Client-Cert',
  'X-Client-Certificate',
  'Remote-User',
  'Remote-Groups',
  'X-Remote-User',
  'X-Forwarded-User',
  'X-Auth-Request-User',
  'X-WebAuth-User',
  'X-Authentik-Username',
  'Tailscale-User-Login',
  'X-Amzn-Oidc-Identity',
];
/** Similar names, which visitors may use. */
const OWN = [
  'X-Auth',
  'X-Auth-Token',
  'X-CSRF-Token',
  'X-Requested-With',
  'X-Client',
  'Remote',
  'X-Real',
  'SSL',
];

const lines = (names: readonly string[]): string => names.map((name) => `${name}: forged\r\n`).join('');
const namesIn = (head: string): string[] =>
  head
    .split('\r\n')
    .slice(1)
    .map((line) => line.split(':')[0]!.toLowerCase());

async function askRaw(at: Edge, more: string): Promise<string> {
  const answer = await raw(at, `GET / HTTP/1.1\r\nHost: ${HOST}\r\nConnection: close\r\n${more}\r\n`);
  return answer.split('\r\n')[0]!;
}

describe('a header that a visitor may not send', () => {
  it('reaches no target over HTTP/1.1, but the request does', async () => {
    const { port, received } = await rawTarget(OK);
    expect(await askRaw(await edge({ '/': port }), lines([...BELIEVED, ...OWN]))).toBe('HTTP/1.1 200 OK');
    const got = namesIn(received[0]!);
    expect(got).toEqual(expect.arrayContaining(OWN.map((name) => name.toLowerCase())));
    expect(BELIEVED.filter((name) => got.includes(name.toLowerCase()))).toEqual([]);
    expect(received[0]).toMatch(new RegExp(`^X-Forwarded-For: ${VISITOR}\r$`, 'm'));
  });

  it('reaches no target over HTTP/2', async () => {
    const { port, received } = await rawTarget(OK);
    const fields = Object.fromEntries([...BELIEVED, ...OWN].map((name) => [name.toLowerCase(), 'forged']));
    await askH2(await h2Visitor(await edge({ '/': port })), { ':path': '/', ...fields });
    const got = namesIn(received[0]!);
    expect(got).toEqual(expect.arrayContaining(OWN.map((name) => name.toLowerCase())));
    expect(BELIEVED.filter((name) => got.includes(name.toLowerCase()))).toEqual([]);
  });

  it('reaches no target as the head of a WebSocket', async () => {
    const { port, received } = await rawTarget(OK);
    const at = await edge({ '/': port });
    const upgrade = `Connection: upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n`;
    await raw(at, `GET / HTTP/1.1\r\nHost: ${HOST}\r\n${upgrade}${lines(BELIEVED)}\r\n`);
    const got = namesIn(received[0]!);
    expect(got).toContain('sec-websocket-key');
    expect(BELIEVED.filter((name) => got.includes(name.toLowerCase()))).toEqual([]);
  });

  it('reaches no target after a body', async () => {
    const { port, received } = await rawTarget(OK);
    const at = await edge({ '/': { to: port, headers: { 'X-Auth': 'secret', 'X-Gone': null } } });
    const names = [...BELIEVED, 'X-Auth', 'X-Gone'];
    const trailing = `Transfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n0\r\nX-Sum: 1\r\n${lines(names)}\r\n`;
    await raw(at, `POST / HTTP/1.1\r\nHost: ${HOST}\r\nConnection: close\r\n${trailing}`);
    const [head, trailers] = [
      received[0]!.split('\r\n\r\n')[0]!,
      received[0]!.split('\r\n\r\n').slice(1).join(),
    ];
    expect(head).toMatch(/^X-Auth: secret\r?$/m);
    expect(trailers).toMatch(/X-Sum: 1/);
    expect(trailers).not.toMatch(/forged/);
  });
});

describe('a header that a route sets', () => {
  it('replaces every variant from the visitor', async () => {
    const { port, received } = await rawTarget(OK);
    const headers = { 'X-Auth': 'secret', 'X-Gone': null, X_Api_Key: 'ours', 'Remote-User': 'demo' };
    const at = await edge({ '/': { to: port, headers } });
    const forged = [
      'X-Auth',
      'X_Auth',
      'X.Auth',
      'X-Gone',
      'X_Gone',
      'X_Api_Key',
      'X-Api_Key',
      'Remote-User',
    ];
    await askRaw(at, lines(forged));
    expect(received[0]).toContain('\r\nX-Auth: secret\r\nX_Api_Key: ours\r\nRemote-User: demo\r\n');
    expect(received[0]).not.toMatch(/forged/);
  });
});

it('trailers of a response keep their names', async () => {
  const answer =
    'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: x_sum\r\n\r\n0\r\nx_sum: 1\r\nx-forwarded-x: 2\r\n\r\n';
  const { port } = await rawTarget(answer);
  const visitor = await h2Visitor(await edge({ '/': port }));
  expect((await askH2(visitor, { ':path': '/' })).trailers).toMatchObject({
    x_sum: '1',
    'x-forwarded-x': '2',
  });
});
