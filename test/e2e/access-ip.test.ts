import { once } from 'node:events';
import { connect as connectH2 } from 'node:http2';
import { connect, type Socket } from 'node:net';
import { describe, expect, it, onTestFinished } from 'vitest';
import type { AccessSpec, Mode, ServiceSpec } from '../../src/agent/spec.js';
import { udpService, udpVisitor } from '../support/udp.js';
import type { ConnectionOptions } from 'node:tls';
import { agent, desired, httpService, readAll, relay, service, tcpService, visit } from '../support/world.js';

/** The address gate in every mode. Visitors come from several loopback addresses. */

const FRIEND = '127.0.0.2';
const STRANGER = '127.0.0.3';
const FRIENDS: AccessSpec = { allowIps: ['127.0.0.2', '2001:db8::/32'] };

async function published(mode: Mode, target: number, access: AccessSpec, over: Partial<ServiceSpec> = {}) {
  const at = await relay({ ports: { tcp: 'any', udp: 'any' } });
  const one = await agent();
  const spec = service('app', target, { mode, access, ...over });
  await one.runner.apply(desired([at.spec], spec));
  const lease = await one.event('lease', ({ phase }) => phase === 'ready');
  const address = lease.tcpAddr ?? lease.udpAddr ?? '';
  return {
    ...one,
    at,
    port: Number(address.slice(address.lastIndexOf(':') + 1)),
    allow: (next: AccessSpec) => one.runner.apply(desired([at.spec], { ...spec, access: next })),
  };
}

type Published = Awaited<ReturnType<typeof published>>;

const asker = ({ at, ca }: Published, localAddress: string, alpn = 'http/1.1') =>
  // `tls.connect` accepts the options of `net.connect`.
  visit(at, 'app.localhost', ca, { localAddress, ALPNProtocols: [alpn] } as ConnectionOptions);

async function ask(to: Published, localAddress: string, headers = ''): Promise<string> {
  const socket = await asker(to, localAddress);
  socket.write(`GET / HTTP/1.1\r\nHost: app.localhost\r\n${headers}Connection: close\r\n\r\n`);
  return (await readAll(socket)).toString();
}

const secretSite = () => httpService((_request, response) => response.end('the secret site'));

describe.each(['stream', 'http'] as const)('mode %s', (mode) => {
  it('responds with 403 to an address that is not allowed, and shows that address', async () => {
    const { port } = await secretSite();
    const one = await published(mode, port, FRIENDS);
    expect(await ask(one, FRIEND)).toMatch(/^HTTP\/1\.1 200 [^]*the secret site/);
    const refused = await ask(one, STRANGER);
    expect(refused).toMatch(/^HTTP\/1\.1 403 Forbidden\r\n/);
    expect(refused).toContain(STRANGER);
    expect(refused).toMatch(/x-robots-tag: noindex/i);
    expect(refused).not.toContain('secret');
    expect(await one.event('refused')).toEqual({
      event: 'refused',
      service: 'app',
      reason: 'ip',
      remote: STRANGER,
    });
  });

  it('ignores what a visitor claims about its address', async () => {
    const { port } = await secretSite();
    const one = await published(mode, port, FRIENDS);
    const lie = `X-Forwarded-For: ${FRIEND}\r\nForwarded: for=${FRIEND}\r\nX-Real-IP: ${FRIEND}\r\n`;
    expect(await ask(one, STRANGER, lie)).toMatch(/^HTTP\/1\.1 403 /);
  });

  it('counts every rejection, and reports an address once', async () => {
    const { port } = await secretSite();
    const one = await published(mode, port, FRIENDS);
    for (let i = 0; i < 3; i++) await ask(one, STRANGER);
    expect((await one.runner.status()).leases[0]!.refused).toEqual({ ip: 3 });
    expect(one.events.filter(({ event }) => event === 'refused')).toHaveLength(1);
  });

  it('responds over HTTP/2, too', async () => {
    const { port } = await secretSite();
    const one = await published(mode, port, FRIENDS, { alpn: ['h2', 'http/1.1'] });
    const socket = await asker(one, STRANGER, 'h2');
    const session = connectH2('https://app.localhost', { createConnection: () => socket });
    onTestFinished(() => session.destroy());
    const request = session.request({ ':path': '/' });
    const [headers] = (await once(request, 'response')) as [Record<string, unknown>];
    expect(headers[':status']).toBe(403);
    request.resume();
    // The connection ends after the response.
    await once(session, 'close');
  });

  it('does not apply to the agent’s own probe: the service is verified even if no visitor is allowed', async () => {
    const { port } = await secretSite();
    const { runner } = await published(mode, port, { allowIps: ['192.0.2.1'] });
    await runner.prove();
    expect((await runner.status()).leases[0]).toMatchObject({ phase: 'ready' });
    expect((await runner.status()).leases[0]!.refused).toBeUndefined();
  });

  it('changes in place: allowed visitors get in, others are disconnected, the rest stay connected', async () => {
    const { port } = await httpService((_request, response) => response.write('begun'));
    const one = await published(mode, port, { allowIps: [FRIEND, STRANGER] });
    const [staying, leaving] = await Promise.all([asker(one, FRIEND), asker(one, STRANGER)]);
    for (const socket of [staying, leaving]) {
      socket.write('GET / HTTP/1.1\r\nHost: app.localhost\r\n\r\n');
      await once(socket, 'data');
    }
    leaving.on('error', () => undefined);
    const closed = new Promise((resolve) => leaving.once('close', resolve));
    await one.allow(FRIENDS);
    await closed;
    expect(staying.destroyed).toBe(false);
    expect(await ask(one, STRANGER)).toMatch(/^HTTP\/1\.1 403 /);
    await one.allow({});
    const again = await asker(one, STRANGER);
    again.write('GET / HTTP/1.1\r\nHost: app.localhost\r\n\r\n');
    expect(String((await once(again, 'data'))[0])).toMatch(/^HTTP\/1\.1 200 /);
    expect(staying.destroyed).toBe(false);
  });
});

async function outcome(port: number, localAddress: string): Promise<string> {
  const socket = connect({ host: '127.0.0.1', port, localAddress });
  onTestFinished(() => void socket.destroy());
  return new Promise((resolve) => {
    socket.once('data', (chunk) => resolve(chunk.toString()));
    socket.once('error', ({ code }: NodeJS.ErrnoException) => resolve(code!));
  });
}

describe('mode tcp', () => {
  it('resets the connection of an address that is not allowed', async () => {
    const target = await tcpService((socket) => socket.write('220 ready'));
    const { port, event, runner } = await published('tcp', target, FRIENDS);
    expect(await outcome(port, FRIEND)).toBe('220 ready');
    expect(await outcome(port, STRANGER)).toBe('ECONNRESET');
    expect(await event('refused')).toMatchObject({ reason: 'ip', remote: STRANGER });
    await runner.prove();
    expect((await runner.status()).leases[0]).toMatchObject({ phase: 'ready', refused: { ip: 1 } });
  });

  it('disconnects visitors who are no longer allowed, and no others', async () => {
    const target = await tcpService((socket) => socket.write('220 ready'));
    const one = await published('tcp', target, {});
    const sockets = await Promise.all(
      [FRIEND, STRANGER].map(async (localAddress): Promise<Socket> => {
        const socket = connect({ host: '127.0.0.1', port: one.port, localAddress });
        onTestFinished(() => void socket.destroy());
        socket.on('error', () => undefined);
        await once(socket, 'data');
        return socket;
      }),
    );
    // A clean close would look like the end of the service's bytes.
    const reset = new Promise((resolve) => sockets[1]!.once('error', resolve).once('end', resolve));
    await one.allow(FRIENDS);
    expect(await reset).toMatchObject({ code: 'ECONNRESET' });
    expect(sockets[0]!.destroyed).toBe(false);
  });
});

describe('mode udp', () => {
  it('drops and counts datagrams of an address until it is allowed', async () => {
    const echo = await udpService();
    const one = await published('udp', echo.port, { allowIps: [FRIEND] });
    const visitor = await udpVisitor(one.port);
    visitor.send('let me in');
    await expect
      .poll(async () => (await one.runner.status()).leases[0]!.dropped)
      .toMatchObject({ refused: 1 });
    expect(echo.received).toBe(0);
    expect(await one.event('refused')).toMatchObject({ reason: 'ip', remote: '127.0.0.1' });
    expect((await one.runner.status()).leases[0]).toMatchObject({ visitors: 0, phase: 'ready' });

    await one.allow({ allowIps: ['127.0.0.0/24'] });
    expect(await visitor.ask('and now')).toBe('and now');
    expect((await one.runner.status()).leases[0]!.visitors).toBe(1);

    await one.allow({ allowIps: [FRIEND] });
    const before = echo.received;
    await expect
      .poll(async () => {
        // The relay notices later that the flow has ended.
        visitor.send('still there?');
        return (await one.runner.status()).leases[0]!.dropped?.['refused'];
      })
      .toBeGreaterThanOrEqual(2);
    expect(echo.received).toBe(before);
  });
});
