import { createServer as createHttp } from 'node:http';
import { createServer, type AddressInfo, type Socket } from 'node:net';
import { text } from 'node:stream/consumers';
import { inspect } from 'node:util';
import { describe, expect, it, onTestFinished } from 'vitest';
import { connectProxy } from '../../../test/support/connect-proxy.js';
import { socksProxy, type SocksBehaviour } from '../../../test/support/socks-proxy.js';
import { openThrough } from './open.js';
import { parseProxy } from './server.js';

/** Sends hello, then echoes its input. */
async function echo(): Promise<number> {
  const sockets = new Set<Socket>();
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    sockets.add(socket);
    socket.on('error', () => undefined).write('hello ');
    socket.pipe(socket);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  return (server.address() as AddressInfo).port;
}

const through = (
  proxy: string,
  host: string,
  port: number,
  more: { ms?: number; signal?: AbortSignal } = {},
) =>
  openThrough(parseProxy(proxy, 'HTTPS_PROXY'), {
    host,
    port,
    ms: 10_000,
    tcp: { allowHalfOpen: true },
    ...more,
  });

/** Sends `word` and returns everything received until the end. */
async function say(socket: Socket, word: string): Promise<string> {
  socket.end(word);
  return text(socket);
}

describe('through an HTTP proxy', () => {
  it('forwards the bytes of both sides, including the first', async () => {
    const [port, proxy] = [await echo(), await connectProxy()];
    expect(await say(await through(proxy.url, 'far.test', port), 'you')).toBe('hello you');
    expect(proxy.requested).toEqual([`far.test:${port}`]);
  });

  it('requests an IPv6 address in brackets', async () => {
    const [port, proxy] = [await echo(), await connectProxy()];
    (await through(proxy.url, 'fd00::1', port)).destroy();
    expect(proxy.requested).toEqual([`[fd00::1]:${port}`]);
  });

  it('sends credentials decoded', async () => {
    const [port, proxy] = [await echo(), await connectProxy()];
    (await through(proxy.url.replace('//', '//CORP\\me:p@s:%2f/ü@'), 'far.test', port)).destroy();
    expect(proxy.credentials).toEqual([`Basic ${Buffer.from('CORP\\me:p@s://ü').toString('base64')}`]);
  });

  it.each([
    [{ 'www-authenticate': 'Basic realm="x"' }, 'me:s3cret@', 'rejected the user name and password', 401],
    [{ 'proxy-authenticate': 'Basic realm="a, b"' }, '', 'requires credentials'],
    [{ 'proxy-authenticate': ['Negotiate', 'Basic realm="x"'] }, '', 'requires credentials'],
    [{}, '', 'requires credentials'],
    [{ 'proxy-authenticate': 'Basic realm="x"' }, 'me:s3cret@', 'rejected the user name and password'],
    [
      { 'proxy-authenticate': ['Negotiate', 'NTLM'] },
      'me:s3cret@',
      'requires Negotiate or NTLM authentication, and Portal supports only Basic',
    ],
  ])('%j to "%s" %s', async (headers, credentials, outcome, status = 407) => {
    const server = createHttp();
    server.on('connect', (_request, socket: Socket) => {
      const lines = Object.entries(headers).flatMap(([name, value]) =>
        [value].flat().map((one) => `${name}: ${one}\r\n`),
      );
      socket.end(`HTTP/1.1 ${status} Unauthorized\r\n${lines.join('')}Content-Length: 0\r\n\r\n`);
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    onTestFinished(() => void server.close());
    const { port } = server.address() as AddressInfo;
    const error = await through(`http://${credentials}127.0.0.1:${port}`, 'far.test', 443).catch(
      (failure: unknown) => failure,
    );
    expect(error).toMatchObject({
      code: 'proxy_credentials',
      message: `the proxy 127.0.0.1:${port} ${outcome}`,
    });
    expect((error as { hint: string }).hint).toMatch(/USER:PASSWORD@127|cntlm/);
  });

  it('a refusal, a timeout and an unreachable proxy have different codes', async () => {
    const refusing = await connectProxy(() => false);
    await expect(through(refusing.url, 'far.test', 443)).rejects.toMatchObject({ code: 'proxy_refused' });
    const silent = await connectProxy(() => 'hang');
    await expect(through(silent.url, 'far.test', 443, { ms: 50 })).rejects.toMatchObject({ code: 'timeout' });
    await expect(through('http://127.0.0.1:1', 'far.test', 443)).rejects.toMatchObject({
      code: 'relay_unreachable',
      message: 'the proxy 127.0.0.1:1 is unreachable: it refused the connection (ECONNREFUSED)',
    });
  });

  it('a cancelled request leaves no connection', async () => {
    const silent = await connectProxy(() => 'hang');
    const stop = new AbortController();
    const opening = through(silent.url, 'far.test', 443, { signal: stop.signal });
    await expect.poll(() => silent.requested.length).toBe(1);
    stop.abort();
    await expect(opening).rejects.toMatchObject({ code: 'aborted' });
    await expect.poll(() => silent.connections()).toBe(0);
  });

  it('reports a proxy that speaks SOCKS', async () => {
    const { authority } = await socksProxy();
    await expect(through(`http://${authority}`, 'far.test', 443, { ms: 2_000 })).rejects.toMatchObject({
      message: expect.stringContaining(`the proxy ${authority}`) as string,
    });
  });

  it('reports a proxy that does not speak TLS', async () => {
    const proxy = await connectProxy();
    const authority = new URL(proxy.url).host;
    await expect(through(`https://${authority}`, 'far.test', 443)).rejects.toMatchObject({
      message: `the proxy ${authority} does not speak TLS`,
    });
  });

  it('an error never contains what was sent, even if the proxy echoes it', async () => {
    const server = createServer((socket) => socket.on('error', () => undefined).pipe(socket));
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    onTestFinished(() => void server.close());
    const { port } = server.address() as AddressInfo;
    const error: unknown = await through(`http://me:s3cret@127.0.0.1:${port}`, 'far.test', 443).catch(
      (failure: unknown) => failure,
    );
    expect(error).toMatchObject({
      message: `the proxy 127.0.0.1:${port} does not speak HTTP`,
      hint: 'Use the scheme of its protocol, for example socks5h://.',
    });
    expect(inspect(error, { depth: 9 })).not.toMatch(/rawPacket|<Buffer/);
  });

  it('lists each authentication scheme once, up to a limit', async () => {
    const schemes = 'ABCDEFGH'.replaceAll(/./g, ',$&a,$&a').slice(1);
    const server = createServer((socket) =>
      socket.on('error', () => undefined).end(`HTTP/1.1 407 X\r\nProxy-Authenticate: ${schemes}\r\n\r\n`),
    );
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    onTestFinished(() => void server.close());
    const { port } = server.address() as AddressInfo;
    await expect(through(`http://127.0.0.1:${port}`, 'far.test', 443)).rejects.toMatchObject({
      message: expect.stringMatching(/ requires Aa or Ba or Ca or Da authentication, and Portal/) as string,
    });
  });
});

describe('through a SOCKS5 proxy', () => {
  it.each<[string, SocksBehaviour, string]>([
    ['without credentials', {}, ''],
    ['without credentials where some are given', {}, 'me:s3cret@'],
    ['with credentials', { wants: 'm@e:p:%' }, 'm%40e:p:%25@'],
    ['that sends byte by byte', { wants: 'me:s3cret', drips: true }, 'me:s3cret@'],
  ])('%s: forwards the bytes of both sides, including the first', async (_, behaviour, credentials) => {
    const [port, proxy] = [await echo(), await socksProxy(behaviour)];
    const socket = await through(`socks5h://${credentials}${proxy.authority}`, 'far.test', port);
    expect(await say(socket, 'you')).toBe('hello you');
    expect(proxy.requested).toEqual([`name:far.test:${port}`]);
    expect(proxy.credentials).toEqual(behaviour.wants === undefined ? [] : [behaviour.wants]);
  });

  it('sends addresses as addresses, not as names', async () => {
    const [port, proxy] = [await echo(), await socksProxy()];
    (await through(`socks5h://${proxy.authority}`, '127.0.0.2', port)).destroy();
    (await through(`socks5h://${proxy.authority}`, 'fd00::1', port)).destroy();
    const zeros = '0'.repeat(27);
    expect(proxy.requested).toEqual([`ipv4:127.0.0.2:${port}`, `ipv6:fd00${zeros}1:${port}`]);
  });

  it('socks5:// resolves names locally, and reports a name without addresses', async () => {
    const [port, proxy] = [await echo(), await socksProxy()];
    (await through(`socks5://${proxy.authority}`, 'localhost', port)).destroy();
    expect(proxy.requested[0]).toMatch(/^ipv[46]:/);
    await expect(through(`socks5://${proxy.authority}`, 'nowhere.invalid', port)).rejects.toMatchObject({
      code: 'relay_unreachable',
      hint: 'Write socks5h:// to have the proxy look names up.',
    });
  });

  it.each<[SocksBehaviour, string, string, string]>([
    [{ wants: 'me:s3cret' }, '', 'proxy_credentials', 'requires credentials'],
    [{ wants: 'me:s3cret' }, 'me:wr0ng@', 'proxy_credentials', 'rejected the user name and password'],
    [{ reply: 2 }, '', 'proxy_refused', 'rejected far.test:443 (not allowed)'],
    [{ reply: 4 }, '', 'proxy_refused', 'rejected far.test:443 (host unreachable)'],
    [{ reply: 99 }, '', 'proxy_refused', 'rejected far.test:443 (code 99)'],
  ])('%j with "%s" fails with %s', async (behaviour, credentials, code, outcome) => {
    const { authority } = await socksProxy(behaviour);
    const opening = through(`socks5h://${credentials}${authority}`, 'far.test', 443);
    await expect(opening).rejects.toMatchObject({ code, message: `the proxy ${authority} ${outcome}` });
  });

  it('a silent proxy times out, and another protocol is reported', async () => {
    const silent = await socksProxy({ reply: 'hang' });
    await expect(through(`socks5h://${silent.authority}`, 'far.test', 443, { ms: 50 })).rejects.toMatchObject(
      {
        code: 'timeout',
      },
    );
    const port = await echo();
    await expect(through(`socks5h://127.0.0.1:${port}`, 'far.test', 443)).rejects.toMatchObject({
      code: 'relay_unreachable',
      message: `the proxy 127.0.0.1:${port} does not speak SOCKS5`,
    });
  });

  it('rejects a name that is too long for SOCKS5', async () => {
    const { authority } = await socksProxy();
    const opening = through(`socks5h://${authority}`, 'x'.repeat(256), 443);
    await expect(opening).rejects.toMatchObject({ code: 'proxy_invalid' });
  });
});
