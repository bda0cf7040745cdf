import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, it, type TestContext } from 'vitest';
import { startOn, twoMachines, type TwoMachines } from '../support/namespaces.js';
import { jsonLines, Person } from './cli-support.js';

/**
 * Relay and agent as programs on two machines (network namespaces), with a wire between them that the kernel makes
 * unreliable. Visitors are on the relay's machine, the service is on the agent's.
 */

const PEER = fileURLToPath(new URL('../support/udp-peer.mjs', import.meta.url));
const COUNT = 1_000;

interface Outcome {
  readonly sent: number;
  readonly answered: number;
  readonly doubled: number;
  readonly wrong: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
}

async function machines(context: TestContext): Promise<TwoMachines> {
  const made = await twoMachines(({ left }) => ({ 'relay.internal': left }));
  return 'skip' in made ? context.skip(made.skip) : made;
}

async function published(two: TwoMachines, carrier: 'raw' | 'ws') {
  const [operator, person] = [await Person.create(), await Person.create()];
  const relay = operator.start(
    [
      'relay',
      '--json',
      '--domain',
      'relay.internal',
      '--listen',
      `${two.left.address}:8443`,
      '--udp-ports',
      '20000-20099',
      '--log-level',
      'error',
    ],
    { within: two.left.within },
  );
  const { url, ca } = await relay.event('listening');
  const { port } = JSON.parse(await startOn(two.right, PEER, 'echo')) as { port: number };
  const config = {
    version: 1,
    relays: { urls: [{ url, ca }] },
    services: { echo: { mode: 'udp', target: port, carrier } },
  };
  // JSON is YAML.
  await writeFile(join(person.folder, 'portal.yaml'), JSON.stringify(config));
  const up = person.start(['up', '--json'], { within: two.right.within });
  const ready = await up.event('ready');
  const [address] = (ready['services'] as { echo: { udp: string[] } }).echo.udp;
  const [host, publicPort] = address!.split(':');
  return {
    ask: async () =>
      JSON.parse(await startOn(two.left, PEER, 'ask', host!, publicPort!, String(COUNT))) as Outcome,
    datagrams: async () => {
      const { stdout } = await person.run(['status', '--json']);
      const [status] = jsonLines(stdout) as unknown as [
        { relays: { datagrams: { carrier: string; missingPackets?: number; dropped: object } }[] },
      ];
      return status.relays[0]!.datagrams;
    },
  };
}

for (const carrier of ['raw', 'ws'] as const) {
  it(
    `a reliable wire, carrier ${carrier}: every datagram comes back once`,
    { timeout: 60_000 },
    async (context) => {
      const two = await machines(context);
      const { ask, datagrams } = await published(two, carrier);
      expect(await ask()).toMatchObject({ sent: COUNT, answered: COUNT, doubled: 0, wrong: 0 });
      expect(await datagrams()).toEqual({ carrier: carrier === 'ws' ? 'ws' : 'udp', dropped: {} });
    },
  );
}

it('an unreliable wire: datagrams get lost, and delay no others', { timeout: 120_000 }, async (context) => {
  const two = await machines(context);
  const { ask, datagrams } = await published(two, 'raw');
  const impaired = await two.impair();
  const how = 'skip' in impaired ? context.skip(impaired.skip) : impaired.how;
  const outcome = await ask();
  // About 10 % of the round trips are lost. Nothing is retransmitted, so some never come back, and most do.
  expect(outcome).toMatchObject({ sent: COUNT, doubled: 0, wrong: 0 });
  expect(outcome.answered).toBeLessThan(COUNT);
  expect(outcome.answered).toBeGreaterThan(0.75 * COUNT);
  const { carrier, missingPackets, dropped } = await datagrams();
  expect(carrier).toBe('udp');
  expect(missingPackets).toBeGreaterThan(0);
  // Duplicates were detected, and no packet was taken for a forged one.
  expect(Object.keys(dropped)).toEqual(how === 'netem' ? ['replayed'] : []);
});
