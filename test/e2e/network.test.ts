/** Relay and agent as programs on two machines (network namespaces) whose network has only IPv6, or changes. */
import { execFile } from 'node:child_process';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { expect, it, type TestContext } from 'vitest';
import { silenceMs, LIMITS } from '../../src/protocol/limits.js';
import { formatAddress } from '../../src/net/listen/listen-error.js';
import { startOn, twoMachines, type TwoMachines } from '../support/namespaces.js';
import { jsonLines, Person, type Line } from './cli-support.js';

const run = promisify(execFile);
const file = (name: string): string => fileURLToPath(new URL(`../support/${name}`, import.meta.url));
const DOMAIN = 'relay.internal';

async function machines(context: TestContext, family: 4 | 6): Promise<TwoMachines> {
  const made = await twoMachines(({ left }) => ({ [DOMAIN]: left, [`web.${DOMAIN}`]: left }), { family });
  return 'skip' in made ? context.skip(made.skip) : made;
}

/** A relay on the left. An agent with an HTTP service, a TCP echo and a UDP echo on the right. */
async function published(
  two: TwoMachines,
  services: (ports: { http: number; tcp: number; udp: number }) => object,
) {
  const [operator, person] = [await Person.create(), await Person.create()];
  const ports = ['--tcp-ports', '20000-20099', '--udp-ports', '20000-20099'];
  const listen = formatAddress({ host: two.left.address, port: 8443 });
  const relay = operator.start(
    ['relay', '--json', '--domain', DOMAIN, '--listen', listen, '--log-level', 'error', ...ports],
    { within: two.left.within },
  );
  const { url, ca } = await relay.event('listening');
  const { http, tcp } = JSON.parse(await startOn(two.right, file('far-service.mjs'))) as {
    http: number;
    tcp: number;
  };
  const { port: udp } = JSON.parse(await startOn(two.right, file('udp-peer.mjs'), 'echo')) as {
    port: number;
  };
  const config = { version: 1, relays: { urls: [{ url, ca }] }, services: services({ http, tcp, udp }) };
  // JSON is YAML.
  await writeFile(join(person.folder, 'portal.yaml'), JSON.stringify(config));
  const up = person.start(['up', '--json'], { within: two.right.within });
  const ready = await up.event('ready');
  return { person, up, urls: ready['services'] as Record<string, Record<'urls' | 'tcp' | 'udp', string[]>> };
}

/** A visitor on the relay's machine. Resolves with the response. */
async function visited(two: TwoMachines, ...args: string[]): Promise<string> {
  const [command, ...rest] = [...two.left.within, process.execPath, ...args];
  return (await run(command!, rest, { timeout: 20_000 })).stdout.trim();
}

const portOf = (address: string): string => address.split(':').at(-1)!;

it('works with only IPv6: streams, TCP and UDP', async (context) => {
  const two = await machines(context, 6);
  const { person, urls } = await published(two, ({ http, tcp, udp }) => ({
    web: { target: http },
    lines: { mode: 'tcp', target: tcp },
    packets: { mode: 'udp', target: udp },
  }));
  const { address } = two.left;
  expect(await visited(two, file('far-visitor.mjs'), 'https', urls['web']!.urls[0]!)).toMatch(/^200 hello /);
  expect(
    await visited(two, file('far-visitor.mjs'), 'tcp', address, portOf(urls['lines']!.tcp[0]!), 'words'),
  ).toBe('words');
  const requested = await visited(
    two,
    file('udp-peer.mjs'),
    'ask',
    address,
    portOf(urls['packets']!.udp[0]!),
    '50',
  );
  expect(JSON.parse(requested)).toMatchObject({ sent: 50, answered: 50, wrong: 0 });
  const { stdout } = await person.run(['status', '--json'], { within: two.right.within });
  const [status] = jsonLines(stdout);
  expect(status!['relays']).toMatchObject([{ state: 'connected', datagrams: { carrier: 'udp' } }]);
});

it('reconnects immediately when the address of the machine changes', async (context) => {
  const two = await machines(context, 4);
  const { up, urls } = await published(two, ({ http }) => ({ web: http }));
  const visit = (): Promise<string> => visited(two, file('far-visitor.mjs'), 'https', urls['web']!.urls[0]!);
  expect(await visit()).toMatch(/^200 hello /);
  const mark = jsonLines(up.stdout).length;
  const later = (phase: string) => (line: Line, index: number) => index >= mark && line['phase'] === phase;
  const changedAt = performance.now();
  await two.right.readdress('10.213.77.3');
  await up.event('lease', later('retrying'));
  await up.event('lease', later('ready'));
  // Without the check of addresses, only the heartbeat timeout would detect it.
  expect(performance.now() - changedAt).toBeLessThan(silenceMs(LIMITS.heartbeatMs));
  expect(await visit()).toMatch(/^200 hello /);
});
