/** `portal relay --listen`: several addresses, wildcards, and leases' ports on all of them. */
import { createSocket } from 'node:dgram';
import { existsSync } from 'node:fs';
import { connect } from 'node:net';
import { describe, expect, it, onTestFinished } from 'vitest';
import type { RelaySpec } from '../../src/agent/spec.js';
import { hasIpv6, NO_IPV6 } from '../support/ipv6.js';
import { freePort } from '../support/ports.js';
import { udpService } from '../support/udp.js';
import { agent, desired, service, tcpService, type TestAgent } from '../support/world.js';
import { Person } from './cli-support.js';

const BOTH = ['127.0.0.1', '::1'] as const;

async function started(...args: string[]) {
  const operator = await Person.create();
  const running = operator.start(['relay', '--json', '--log-level', 'error', ...args]);
  const { url, ca, addresses } = (await running.event('listening')) as unknown as {
    url: string;
    ca: string;
    addresses: string[];
  };
  const spec: RelaySpec = { kind: 'url', url, caFile: ca };
  return { spec, addresses, port: Number(new URL(url).port), running };
}

/** Returns `connect` or the system's error. */
function tcpAnswer(host: string, port: number): Promise<string> {
  return new Promise((resolve) => {
    const socket = connect({ host, port });
    onTestFinished(() => void socket.destroy());
    socket.once('connect', () => resolve('connect'));
    socket.once('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? error.message));
  });
}

/** A service's reply to a greeting over TCP. */
function tcpEcho(host: string, port: number): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host, port });
    onTestFinished(() => void socket.destroy());
    socket.once('error', reject).once('data', (chunk: Buffer) => resolve(chunk.toString()));
    socket.write('hello');
  });
}

/** The same over UDP, and its source address. */
function udpEcho(host: string, port: number): Promise<{ text: string; from: string }> {
  return new Promise((resolve, reject) => {
    const socket = createSocket(host.includes(':') ? 'udp6' : 'udp4');
    const again = setInterval(() => socket.send('hello', port, host), 100);
    onTestFinished(() => {
      clearInterval(again);
      socket.close();
    });
    socket.once('error', reject);
    socket.once('message', (message, { address }) => resolve({ text: message.toString(), from: address }));
  });
}

async function publicPort(one: TestAgent, name: string): Promise<number> {
  const { tcpAddr, udpAddr } = await one.event(
    'lease',
    ({ phase, service: of }) => phase === 'ready' && of === name,
  );
  return Number((tcpAddr ?? udpAddr)!.split(':').at(-1));
}

describe('portal relay --listen', () => {
  it.for([
    ['several addresses, separated by commas', ['--listen', '127.0.0.1:0,[::1]:0']],
    ['several addresses, one by one', ['--listen', '127.0.0.1:0', '--listen', '[::1]:0']],
    ['localhost, which is both loopbacks', ['--listen', 'localhost:0']],
    ['[::], which is both families', ['--listen', '[::]:0']],
    ['both wildcards', ['--listen', '0.0.0.0:0,[::]:0']],
    ['no host, which is every address', ['--listen', ':0']],
  ] as const)('takes %s', async ([, args], context) => {
    context.skip(!hasIpv6, NO_IPV6);
    const { port, addresses } = await started(...args);
    for (const host of BOTH) expect(await tcpAnswer(host, port)).toBe('connect');
    for (const address of addresses) expect(address).toMatch(new RegExp(`:${port}$`));
  });

  it('0.0.0.0 is IPv4 only', async (context) => {
    context.skip(!hasIpv6, NO_IPV6);
    const { port, addresses } = await started('--listen', `0.0.0.0:${await freePort()}`);
    expect(addresses).toEqual([`0.0.0.0:${port}`]);
    expect(await tcpAnswer('127.0.0.1', port)).toBe('connect');
    expect(await tcpAnswer('::1', port)).toBe('ECONNREFUSED');
  });

  it('takes over at each address from a relay that shuts down', async (context) => {
    context.skip(!hasIpv6, NO_IPV6);
    const first = await started('--listen', 'localhost:0');
    const operator = await Person.create();
    const listen = ['--listen', `localhost:${first.port}`, '--take-over', '60s'];
    const second = operator.start(['relay', '--json', '--log-level', 'info', ...listen]);
    await second.line(/waiting until another relay/);
    first.running.kill('SIGTERM');
    const { addresses } = await second.event('listening');
    expect(addresses).toEqual(first.addresses);
    for (const host of BOTH) expect(await tcpAnswer(host, first.port)).toBe('connect');
  });

  it('rejects addresses with different ports', async () => {
    const operator = await Person.create();
    const { code, stderr } = await operator.run(['relay', '--listen', '127.0.0.1:8443,[::1]:9443']);
    expect({ code, stderr }).toEqual({ code: 2, stderr: expect.stringContaining('8443, 9443') as string });
  });

  it('opens leases’ ports at each address, and replies from the requested one', async (context) => {
    context.skip(!hasIpv6, NO_IPV6);
    const { spec } = await started(
      '--listen',
      'localhost:0',
      '--tcp-ports',
      '20000-29999',
      '--udp-ports',
      '20000-29999',
    );
    const one = await agent();
    const echo = await tcpService((socket) => socket.pipe(socket));
    await one.runner.apply(
      desired(
        [spec],
        service('lines', echo, { mode: 'tcp' }),
        service('packets', (await udpService()).port, { mode: 'udp' }),
      ),
    );
    const [lines, packets] = [await publicPort(one, 'lines'), await publicPort(one, 'packets')];
    for (const host of BOTH) {
      expect(await tcpEcho(host, lines)).toBe('hello');
      expect(await udpEcho(host, packets)).toEqual({ text: 'hello', from: host });
    }
  });

  it.each([
    ['--listen HOST:PORT', (port: number) => ['--listen', `127.0.0.1:${port}`]],
    ['--http-redirect PORT', (port: number) => ['--http-redirect', String(port)]],
    ['--metrics HOST:PORT', (port: number) => ['--metrics', String(port)]],
  ])('creates no file if the port of %s is in use', async (option, args) => {
    const port = await tcpService(() => undefined);
    const operator = await Person.create();
    const listen = option.startsWith('--listen') ? [] : ['--listen', '127.0.0.1:0'];
    const { code, stderr } = await operator.run(['relay', ...listen, ...args(port)]);
    expect(code).toBe(1);
    expect(stderr).toContain(`error: 127.0.0.1:${port} is in use [address_in_use]`);
    expect(stderr).toContain(`or choose another port with ${option}.`);
    expect(existsSync(operator.home)).toBe(false);
  });
});
