import { once } from 'node:events';
import { createServer, type AddressInfo, type Server } from 'node:net';
import { describe, expect, it } from 'vitest';
import { listenForRedirects } from '../../src/relay/public-port/redirect.js';
import type { Front } from '../../src/relay/public-port/front.js';
import { log } from '../support/log.js';
import { freePorts } from '../support/ports.js';
import { agent, desired, handedOver, service, visit } from '../support/world.js';
import { Person, type Running } from './cli-support.js';
import { line, tcp } from './relay-peer.js';

/** The port for plain HTTP of `portal relay`, which redirects visitors to https. */

interface ListeningEvent {
  url: string;
  ca: string;
  addresses: string[];
  httpRedirect?: string[];
}

const listeningEvent = async (running: Running): Promise<ListeningEvent> =>
  (await running.event('listening')) as unknown as ListeningEvent;

/** The status line of the response, and its location. */
async function ask(port: number, host: string, path = '/'): Promise<string> {
  const at = await tcp({ port });
  at.socket.write(`GET ${path} HTTP/1.1\r\nHost: ${host}\r\n\r\n`);
  const text = (await at.closed).received.toString();
  const location = /^location: (.*)\r$/im.exec(text)?.[1] ?? '';
  return `${text.split('\r\n')[0]!.slice(9)} ${location}`.trim();
}

describe.each([1, 2])('the port for plain HTTP of a relay with --workers %i', (workers) => {
  const relay = ['relay', '--json', '--workers', String(workers)];

  it('redirects names of the relay to https, and no others', async () => {
    const operator = await Person.create();
    const [port, http] = await freePorts(2);
    const args = [...relay, '--listen', `127.0.0.1:${port}`, '--http-redirect', String(http)];
    const running = operator.start(args);
    expect((await listeningEvent(running)).httpRedirect).toEqual([`127.0.0.1:${http}`]);
    const secure = `https://web.localhost:${port}`;
    expect(await ask(http!, 'web.localhost', '/a?b=c')).toBe(`308 Permanent Redirect ${secure}/a?b=c`);
    expect(await ask(http!, `WEB.localhost:${http}`)).toBe(`308 Permanent Redirect ${secure}/`);
    const acme = '/.well-known/acme-challenge/x';
    expect(await ask(http!, 'web.localhost', acme)).toBe(`308 Permanent Redirect ${secure}${acme}`);
    expect(await ask(http!, '127.0.0.1')).toBe(`308 Permanent Redirect https://localhost:${port}/`);
    expect(await ask(http!, 'shop.example.com')).toBe('404 Not Found');
    // The TLS port does not redirect.
    const hello = await tcp({ port: http! });
    hello.socket.write(Buffer.from('160301020001', 'hex'));
    hello.socket.end();
    expect((await hello.closed).received.length).toBe(0);
  });

  it('is available to the new process as soon as the relay is asked to stop, while visitors finish', async () => {
    const operator = await Person.create();
    const [port, http] = await freePorts(2);
    const args = [...relay, '--listen', `127.0.0.1:${port}`, '--http-redirect', String(http)];
    const old = operator.start([...args, '--drain', '60s']);
    const { url, ca } = await listeningEvent(old);
    const web = await handedOver();
    const one = await agent();
    await one.runner.apply(desired([{ kind: 'url', url, caFile: ca }], service('web', web.port)));
    await one.event('ready');
    const download = line(await visit({ port: port! }, 'web.localhost', one.ca));
    const source = await web.next();
    source.write('the first half, ');
    await download.until('half, ');
    const next = operator.start([...args, '--take-over', '60s', '--log-level', 'info']);
    await next.line(/waiting until another relay/);
    old.kill('SIGTERM');
    expect((await listeningEvent(next)).httpRedirect).toEqual([`127.0.0.1:${http}`]);
    expect(await ask(http!, 'web.localhost')).toMatch(/^308 /);
    source.end('and the second');
    expect((await download.closed).received.toString()).toBe('the first half, and the second');
    expect((await old.finished).code).toBe(0);
  });

  it('that was requested and is in use is an error', async () => {
    const operator = await Person.create();
    const taken = createServer().listen(0, '127.0.0.1');
    await once(taken, 'listening');
    const { port } = taken.address() as AddressInfo;
    const args = [...relay, '--listen', '127.0.0.1:0', '--http-redirect', String(port)];
    const { code, stdout } = await operator.run(args);
    taken.close();
    expect({ code, stdout }).toEqual({
      code: 1,
      stdout: expect.stringContaining(`127.0.0.1:${port} is in use`) as string,
    });
  });

  it('may be a systemd socket besides that of the public port', async () => {
    const operator = await Person.create();
    const sockets = [createServer(), createServer()];
    for (const server of sockets) await once(server.listen(0, '127.0.0.1'), 'listening');
    const [port, http] = sockets.map((server) => (server.address() as AddressInfo).port);
    const start = (...args: string[]): Running =>
      operator.start([...relay, '--log-level', 'info', ...args], {
        within: ['sh', '-c', 'LISTEN_PID=$$ LISTEN_FDS=2 LISTEN_FDNAMES=public:http exec "$@"', 'sh'],
        fds: sockets.map(descriptorOf),
      });
    const first = start();
    expect((await listeningEvent(first)).httpRedirect).toEqual([`127.0.0.1:${http}`]);
    const second = start('--take-over', '60s');
    await second.line(/waiting until another relay/);
    for (const server of sockets) server.close();
    expect(await ask(http!, 'web.localhost')).toBe(`308 Permanent Redirect https://web.localhost:${port}/`);
    first.kill('SIGTERM');
    expect((await first.finished).code).toBe(0);
    expect((await listeningEvent(second)).httpRedirect).toEqual([`127.0.0.1:${http}`]);
    expect(await ask(http!, 'web.localhost')).toMatch(/^308 /);
  });
});

describe('the port for plain HTTP', () => {
  it('is 80 in addition to 443 by default, and is skipped if unavailable', async () => {
    const asked: number[] = [];
    const fronts = {
      having: {
        listenPlain: ({ port }: { port: number }) => (asked.push(port), { hosts: [{ host: '::' }], port }),
      },
      lacking: { listenPlain: () => Promise.reject(new Error('EACCES')) },
    } as unknown as Record<'having' | 'lacking', Front>;
    const at = { hosts: [], log, asked: { port: 80, isOptional: true } } as const;
    expect(await listenForRedirects(fronts.having, { ...at, port: 8443 })).toEqual([]);
    expect(await listenForRedirects(fronts.having, { ...at, port: 443, asked: undefined })).toEqual([]);
    expect(asked).toEqual([]);
    expect(await listenForRedirects(fronts.having, { ...at, port: 443 })).toEqual([{ host: '::', port: 80 }]);
    expect(await listenForRedirects(fronts.lacking, { ...at, port: 443 })).toEqual([]);
    await expect(
      listenForRedirects(fronts.lacking, { ...at, port: 443, asked: { port: 80 } }),
    ).rejects.toThrow('EACCES');
  });
});

/** Node reads only this variable. */
function descriptorOf(server: Server): number {
  const { _handle: handle } = server as unknown as { _handle: { fd: number } };
  return handle.fd;
}
