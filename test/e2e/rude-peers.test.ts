import { mkdir, writeFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import type { ServiceSpec } from '../../src/agent/spec.js';
import { pick, rudeTarget, seeded, type RudeTarget } from '../support/rude-target.js';
import { sendRudely, visitPortRudely, visitRudely } from '../support/rude-visitor.js';
import { udpService } from '../support/udp.js';
import { uncaught } from '../support/uncaught.js';
import { agent, desired, get, readAll, relay, service, temporaryFolder } from '../support/world.js';

/**
 * Visitors and targets that break every rule: no byte and no end of a connection may end an agent or a relay. To search on, set
 * RUDE_SEEDS=2,3,4 and RUDE_VISITS=5000.
 */

const SEEDS = (process.env['RUDE_SEEDS'] ?? '1').split(',').map(Number);
const VISITS = Number(process.env['RUDE_VISITS'] ?? 300);
const AT_A_TIME = 12;

function servicesOf({ targets }: RudeTarget, folder: string, udp: number): ServiceSpec[] {
  const specs: ServiceSpec[] = [
    service('folder', folder, { mode: 'http' }),
    service('udp', udp, { mode: 'udp' }),
    service('udp-ws', udp, { mode: 'udp', carrier: 'ws' }),
  ];
  for (const [kind, target] of Object.entries(targets)) {
    for (const mode of ['stream', 'http', 'auto'] as const)
      specs.push(service(`${mode}-${kind}`, target, { mode, alpn: 'auto' }));
    const http: Record<string, Partial<ServiceSpec>> = {
      inspect: { inspect: { mask: [] } },
      hold: { hold: { forMs: 60_000 }, inspect: { mask: [] } },
      pin: { access: { pin: '123456' } },
      limit: { access: { rateLimit: { requests: 5, per: 's', burst: 5 } } },
      hook: { access: { webhook: { provider: 'github', secret: 's' } } },
    };
    for (const [name, over] of Object.entries(http))
      specs.push(service(`${name}-${kind}`, target, { mode: 'http', ...over }));
    specs.push(service(`ws-${kind}`, target, { carrier: 'ws' }));
    if (kind !== 'port' && kind !== 'unix') continue;
    for (const carrier of ['raw', 'ws', 'tls'] as const)
      specs.push(service(`tcp-${carrier}-${kind}`, target, { mode: 'tcp', carrier }));
  }
  return specs;
}

const portOf = (address: string): number => Number(address.slice(address.lastIndexOf(':') + 1));

async function started(target: RudeTarget) {
  const folder = join(await temporaryFolder(), 'public');
  await mkdir(folder);
  await writeFile(join(folder, 'index.html'), 'polite');
  const { port } = await udpService();
  const at = await relay({ ports: { tcp: 'any', udp: 'any' } });
  const [historyDir, heldDir] = [await temporaryFolder(), await temporaryFolder()];
  const one = await agent({ inspector: true, historyDir, heldDir });
  const specs = servicesOf(target, folder, port);
  await one.runner.apply(desired([at.spec], ...specs));
  const ready = specs.map((spec) =>
    one.event('lease', (lease) => lease.phase === 'ready' && lease.service === spec.service),
  );
  return { at, ca: one.ca, leases: await Promise.all(ready) };
}

async function askPort(port: number): Promise<{ text: string }> {
  const socket = connect({ port, host: '127.0.0.1' });
  socket.write('GET / HTTP/1.1\r\nHost: x\r\n\r\n');
  return { text: String(await readAll(socket)) };
}

/** The text of a response, or the error. */
const textOf = (response: Promise<{ text: string }>): Promise<string> =>
  response.then(({ text }) => text, String);

it.each(SEEDS)(
  'an agent and a relay survive visitors and targets that break every rule (seed %i)',
  async (seed) => {
    const crashes = uncaught();
    const random = seeded(seed);
    const target = await rudeTarget(random);
    const { at, ca, leases } = await started(target);
    const visits = leases.map(({ url, tcpAddr, udpAddr }) => {
      if (tcpAddr !== undefined) return () => visitPortRudely(portOf(tcpAddr), random);
      if (udpAddr !== undefined) return () => sendRudely(portOf(udpAddr), random);
      return () => visitRudely(at.port, new URL(url!).hostname, ca.certificatePem, random);
    });
    let left = VISITS;
    const visitSome = async (): Promise<void> => {
      while (left-- > 0) await pick(random, visits)();
    };
    await Promise.all(Array.from({ length: AT_A_TIME }, visitSome));
    target.becomePolite();
    const http = leases.filter(({ service: name }) =>
      /^(http-(port|unix|https)|inspect-port|folder)$/.test(name),
    );
    for (const { url } of http)
      await expect.poll(() => textOf(get(at, new URL(url!).hostname, ca))).toContain('polite');
    for (const { tcpAddr } of leases.filter(({ service: name }) => name.startsWith('tcp-')))
      await expect.poll(() => textOf(askPort(portOf(tcpAddr!)))).toContain('polite');
    expect(crashes).toEqual([]);
  },
);
