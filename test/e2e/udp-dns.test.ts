import { execFile, spawn } from 'node:child_process';
import { promisify } from 'node:util';
import { describe, expect, it, onTestFinished } from 'vitest';
import { freePort } from '../support/ports.js';
import { eventually } from '../support/eventually.js';
import { programFor } from '../support/debian.js';
import { dnsServer } from '../support/dns-server.js';
import { agent, desired, relay, service } from '../support/world.js';

/** Real DNS: Debian's `dig` queries through the tunnel. */

const run = promisify(execFile);

async function published(target: number, carrier: 'raw' | 'ws'): Promise<number> {
  const at = await relay({ ports: { udp: 'any' } });
  const one = await agent();
  await one.runner.apply(desired([at.spec], service('dns', target, { mode: 'udp', carrier })));
  const { udpAddr } = await one.event('lease', ({ phase }) => phase === 'ready');
  return Number(udpAddr!.split(':')[1]);
}

async function ask(program: string, port: number, ...query: string[]): Promise<string> {
  const { stdout } = await run(program, [
    '@127.0.0.1',
    '-p',
    String(port),
    '+short',
    '+tries=3',
    '+time=2',
    ...query,
  ]);
  return stdout.trim();
}

describe.each(['raw', 'ws'] as const)('dig, carrier %s', (carrier) => {
  it('queries a small DNS server', async (context) => {
    const path = await programFor(context, 'dig');
    const server = await dnsServer((name, type) =>
      type === 'A' ? [{ type: 'A', name, ttl: 1, data: '192.0.2.7' }] : 'NXDOMAIN',
    );
    const port = await published(Number(server.address.split(':')[1]), carrier);
    expect(await ask(path, port, 'host.test', 'A')).toBe('192.0.2.7');
    expect(server.requested).toContain('A host.test');
  });

  it('gets an answer larger than a packet, without falling back to TCP', async (context) => {
    const path = await programFor(context, 'dig');
    const text = Array.from({ length: 14 }, (_, i) => String.fromCodePoint(97 + i).repeat(250));
    const server = await dnsServer((name) => [{ type: 'TXT', name, ttl: 1, data: [...text] }]);
    const port = await published(Number(server.address.split(':')[1]), carrier);
    const answer = await ask(path, port, '+bufsize=8000', '+ignore', 'large.test', 'TXT');
    expect(answer.replaceAll('"', '').split(' ')).toEqual(text);
  });

  it('queries dnsmasq, many times in parallel', async (context) => {
    const path = await programFor(context, 'dig');
    const server = await programFor(context, 'dnsmasq');
    const target = await freePort();
    const program = spawn(server, [
      '--keep-in-foreground',
      '--conf-file=/dev/null',
      '--no-resolv',
      '--no-hosts',
      '--bind-interfaces',
      '--listen-address=127.0.0.1',
      `--port=${target}`,
      '--user=',
      '--pid-file=',
      '--address=/portal.test/192.0.2.53',
      '--host-record=six.portal.test,2001:db8::53',
    ]);
    onTestFinished(() => void program.kill());
    const port = await published(target, carrier);
    // It has just started. Until it listens, the tunnel only counts.
    await eventually(async () => expect(await ask(path, port, 'a.portal.test')).toBe('192.0.2.53'));
    const answers = await Promise.all(
      Array.from({ length: 20 }, (_, i) => ask(path, port, `n${i}.portal.test`, 'A')),
    );
    expect(new Set(answers)).toEqual(new Set(['192.0.2.53']));
    expect(await ask(path, port, 'six.portal.test', 'AAAA')).toBe('2001:db8::53');
  });
});
