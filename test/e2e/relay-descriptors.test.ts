import { readFile } from 'node:fs/promises';
import { connect, type Socket } from 'node:net';
import { describe, expect, it, onTestFinished } from 'vitest';
import { eventually } from '../support/eventually.js';
import { agent, desired, get, httpService, service } from '../support/world.js';
import { Person } from './cli-support.js';
import { helloFor, Peer } from './relay-peer.js';

/** A relay with few file descriptors: when they run out, libuv closes new connections silently. */

const DESCRIPTORS = 256;

interface Started {
  readonly at: { readonly url: string; readonly port: number; readonly ca: { certificatePem: string } };
  readonly spec: { readonly kind: 'url'; readonly url: string; readonly caFile: string };
  readonly metric: (name: string) => Promise<number>;
  readonly stderr: () => string;
}

async function relayWithFew(): Promise<Started> {
  const person = await Person.create();
  const running = person.start(['relay', '--json', '--listen', '127.0.0.1:0', '--metrics', '0'], {
    within: ['sh', '-c', `ulimit -n ${DESCRIPTORS}; exec "$@"`, 'sh'],
  });
  const { url, ca, metrics } = (await running.event('listening')) as unknown as Record<
    'url' | 'ca' | 'metrics',
    string
  >;
  return {
    at: { url, port: Number(new URL(url).port), ca: { certificatePem: await readFile(ca, 'utf8') } },
    spec: { kind: 'url', url, caFile: ca },
    metric: async (name) => {
      const text = await (await fetch(metrics)).text();
      return Number(new RegExp(`^${name} (\\d+)`, 'm').exec(text)?.[1]);
    },
    stderr: () => running.stderr,
  };
}

/** Connections from separate addresses. Resolves with the open ones. */
async function hold(port: number, count: number, localAddress: string, first?: Buffer): Promise<Set<Socket>> {
  const open = new Set<Socket>();
  const opening = Array.from({ length: count }, () => {
    const socket = connect({ host: '127.0.0.1', port, localAddress });
    onTestFinished(() => void socket.destroy());
    socket.on('error', () => undefined);
    open.add(socket);
    socket.once('close', () => open.delete(socket));
    return new Promise<void>((resolve) => {
      socket.once('close', resolve);
      socket.once('connect', () => {
        if (first) socket.write(first);
        resolve();
      });
    });
  });
  await Promise.all(opening);
  return open;
}

describe.skipIf(process.platform === 'win32')('with few file descriptors (Windows has no such limit)', () => {
  it('a relay warns, and idle connections block neither metrics, agents nor visitors', async () => {
    const { at, spec, metric, stderr } = await relayWithFew();
    expect(stderr()).toContain('few file descriptors');
    const idle = await hold(at.port, 2 * DESCRIPTORS, '127.0.1.1');
    expect(await metric('portal_relay_connections_unrouted')).toBeLessThanOrEqual(DESCRIPTORS / 4);
    await Peer.open(at);
    const { port } = await httpService((_request, response) => response.end('served'));
    const one = await agent();
    await one.runner.apply(desired([spec], service('web', port)));
    expect((await get(at, 'web.localhost', one.ca)).text).toContain('served');
    expect(idle.size).toBeLessThan(DESCRIPTORS);
  });

  it('rejects visitors before agents, with count and log', async () => {
    const { at, metric, stderr } = await relayWithFew();
    const peer = await Peer.open(at);
    peer.answerDials();
    await peer.lease('web');
    for (const address of ['127.0.1.1', '127.0.1.2', '127.0.1.3', '127.0.1.4'])
      await hold(at.port, 64, address, helloFor('web.localhost'));
    await eventually(async () =>
      expect(await metric('portal_relay_descriptors_rejected_total')).toBeGreaterThan(0),
    );
    await eventually(() => expect(stderr()).toContain('running out of file descriptors'));
    for (let count = 0; count < 5; count++) await Peer.open(at);
    expect(await metric('process_open_fds')).toBeLessThan(DESCRIPTORS);
  });
});
