import { once } from 'node:events';
import { connect, createServer, type AddressInfo, type Server } from 'node:net';
import { describe, expect, it } from 'vitest';
import type { RelaySpec } from '../../src/agent/spec.js';
import { inheritedFds } from '../../src/cli/relay/inherited-socket.js';
import { hasIpv6, NO_IPV6 } from '../support/ipv6.js';
import { freePort } from '../support/ports.js';
import { agent, desired, get, handedOver, httpService, service, visit } from '../support/world.js';
import { Person, type Running } from './cli-support.js';
import { line, tcp } from './relay-peer.js';

/** Socket activation: the public port is a systemd socket, which relays inherit. */

describe('the inherited socket', () => {
  it.each([
    ['none', {}, undefined],
    ['one', { LISTEN_PID: '7', LISTEN_FDS: '1' }, { public: [3], http: [] }],
    [
      'one with any name',
      { LISTEN_PID: '7', LISTEN_FDS: '1', LISTEN_FDNAMES: 'portal-relay.socket' },
      { public: [3], http: [] },
    ],
    [
      'the named one of several',
      { LISTEN_PID: '7', LISTEN_FDS: '2', LISTEN_FDNAMES: 'a:public' },
      { public: [4], http: [] },
    ],
    [
      'all named ones',
      { LISTEN_PID: '7', LISTEN_FDS: '2', LISTEN_FDNAMES: 'public:public' },
      { public: [3, 4], http: [] },
    ],
    [
      'one for plain HTTP, and the other one',
      { LISTEN_PID: '7', LISTEN_FDS: '2', LISTEN_FDNAMES: 'http:portal-relay.socket' },
      { public: [4], http: [3] },
    ],
    [
      'two of each',
      { LISTEN_PID: '7', LISTEN_FDS: '4', LISTEN_FDNAMES: 'http:public:http:public' },
      { public: [4, 6], http: [3, 5] },
    ],
    ['meant for another process', { LISTEN_PID: '8', LISTEN_FDS: '1' }, undefined],
    ['no number', { LISTEN_PID: '7', LISTEN_FDS: 'x' }, undefined],
  ])('%s', (_what, env, fds) => {
    expect(inheritedFds(env, 7)).toEqual(fds);
  });

  it('several without a name are an error', () => {
    for (const names of ['a:b', '', 'http:http'])
      expect(() => inheritedFds({ LISTEN_PID: '7', LISTEN_FDS: '2', LISTEN_FDNAMES: names }, 7)).toThrow(
        /2 sockets/,
      );
  });
});

/** Node reads only this variable. */
function descriptorOf(server: Server): number {
  const { _handle: handle } = server as unknown as { _handle: { fd: number } };
  return handle.fd;
}

/** A listening socket, and a function that starts relays with it. Only they accept connections on it. */
async function shared(operator: Person, workers: readonly string[]) {
  const server = createServer();
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const start = (...args: string[]): Running =>
    operator.start(['relay', '--json', '--log-level', 'info', ...workers, ...args], {
      within: ['sh', '-c', 'LISTEN_PID=$$ LISTEN_FDS=1 exec "$@"', 'sh'],
      fds: [descriptorOf(server)],
    });
  // The relays have their own copies of the socket.
  return { port, start, closeListener: () => server.close() };
}

async function specOf(running: Running): Promise<RelaySpec> {
  const { url, ca } = (await running.event('listening')) as unknown as { url: string; ca: string };
  return { kind: 'url', url, caFile: ca };
}

describe.each([[], ['--workers', '2']])('portal relay %s %s with an inherited socket', (...workers) => {
  it('serves on it; a second relay waits for its turn, and visitors in between wait in the socket', async () => {
    const operator = await Person.create();
    const { port, start, closeListener } = await shared(operator, workers);
    const first = start('--drain', '60s', '--listen', '127.0.0.1:1');
    const spec = await specOf(first);
    expect(spec).toMatchObject({ url: `https://localhost:${port}` });
    const second = start('--take-over', '60s');
    await second.line(/waiting until another relay/);
    closeListener();
    const held = await handedOver();
    const one = await agent();
    await one.runner.apply(desired([spec], service('app', held.port)));
    const download = line(await visit({ port }, 'app.localhost', one.ca));
    const source = await held.next();
    source.write('the first half, ');
    await download.until('half, ');
    const mark = one.events.length;
    // While the other relay is not ready yet.
    second.kill('SIGSTOP');
    first.kill('SIGTERM');
    await one.event('lease', ({ phase }) => phase === 'retrying', mark);
    const early = visit({ port }, 'app.localhost', one.ca);
    const bare = await tcp({ port });
    bare.socket.destroy();
    second.kill('SIGCONT');
    await specOf(second);
    const visitor = line(await early);
    (await held.next()).end('for who came early');
    await visitor.until('for who came early');
    source.end('and the second');
    expect((await download.closed).received.toString()).toBe('the first half, and the second');
    expect(await first.finished).toMatchObject({ code: 0 });
    second.kill('SIGTERM');
    expect((await second.finished).code).toBe(0);
  });

  it('leaves no lock behind when it is killed', async () => {
    const operator = await Person.create();
    const { port, start, closeListener } = await shared(operator, workers);
    const first = start();
    const spec = await specOf(first);
    const second = start('--take-over', '60s');
    await second.line(/waiting until another relay/);
    const third = start();
    expect(await third.finished).toMatchObject({
      code: 1,
      stdout: expect.stringContaining('another relay serves the shared socket') as string,
    });
    closeListener();
    const one = await agent();
    const { port: target } = await httpService((_request, response) => response.end('hello'));
    await one.runner.apply(desired([spec], service('app', target)));
    await one.event('ready');
    first.kill('SIGKILL');
    await specOf(second);
    expect((await get({ port }, 'app.localhost', one.ca)).text).toContain('hello');
  });

  it('serves on all of several named sockets', async (context) => {
    context.skip(!hasIpv6, NO_IPV6);
    const operator = await Person.create();
    const [four, six] = [createServer(), createServer()];
    const port = await freePort();
    await once(four.listen(port, '127.0.0.1'), 'listening');
    await once(six.listen(port, '::1'), 'listening');
    const fds = [four, six].map(descriptorOf);
    const running = operator.start(['relay', '--json', '--log-level', 'error', ...workers], {
      within: ['sh', '-c', 'LISTEN_PID=$$ LISTEN_FDS=2 LISTEN_FDNAMES=public:public exec "$@"', 'sh'],
      fds,
    });
    expect((await running.event('listening'))['addresses']).toEqual([`127.0.0.1:${port}`, `[::1]:${port}`]);
    four.close();
    six.close();
    for (const host of ['127.0.0.1', '::1']) {
      const socket = connect({ host, port });
      socket.write('GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n');
      const [answer] = (await once(socket, 'data')) as [Buffer];
      expect(answer.toString()).toMatch(/^HTTP\/1\.1 /);
      socket.destroy();
    }
  });

  it('reports a descriptor that is not a socket', async () => {
    const operator = await Person.create();
    const { code, stdout } = await operator.start(['relay', '--json', ...workers], {
      within: ['sh', '-c', 'LISTEN_PID=$$ LISTEN_FDS=1 exec "$@" 3</dev/null', 'sh'],
    }).finished;
    expect({ code, stdout }).toMatchObject({
      code: 1,
      stdout: expect.stringContaining('listen_failed') as string,
    });
  });
});
