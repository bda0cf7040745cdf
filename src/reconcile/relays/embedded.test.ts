import { expect, it } from 'vitest';
import type { RelaySpec } from '../../agent/spec.js';
import type { Desired } from '../../config/desired.js';
import { withActualPort, EmbeddedRelays } from './embedded.js';

const wanted = (...specs: RelaySpec[]): Desired => ({
  file: undefined,
  identityFile: undefined,
  relays: specs,
  services: [],
});
const DEFAULT = { kind: 'embedded', port: 8443, orAnyPort: true } as const;
const ELSEWHERE = { kind: 'url', url: 'https://relay.example.com' } as const;

/** Relays that get these ports in turn, with a record of notices and closes. */
function relays(...ports: (number | Error)[]) {
  const told: string[] = [];
  const closed: number[] = [];
  const holders: Record<number, string> = {};
  const embedded = new EmbeddedRelays({
    start: () => {
      const port = ports.shift()!;
      if (port instanceof Error) return Promise.reject(port);
      return Promise.resolve({
        url: `https://localhost:${port}`,
        address: '127.0.0.1',
        caFile: '/ca.pem',
        close: () => Promise.resolve(void closed.push(port)),
      });
    },
    notify: ({ message }) => told.push(message),
    portHolder: async (port) => holders[port],
  });
  return { embedded, told, closed, holders };
}

it('keeps its port over repeated starts', async () => {
  const { embedded, told } = relays(45_877);
  const desired = wanted(DEFAULT, ELSEWHERE);
  expect(embedded.placed(desired)).toBe(desired);
  for (let i = 0; i < 2; i++) {
    await embedded.start(desired);
    expect(embedded.placed(desired).relays).toEqual([{ kind: 'embedded', port: 45_877 }, ELSEWHERE]);
  }
  expect(told).toEqual([
    'port 8443 is in use, so the embedded relay uses 45877 this time; to choose a port, set relays: { embedded: { port: 8444 } }',
  ]);
  expect((await embedded.take({ kind: 'embedded', port: 45_877 })).url).toBe('https://localhost:45877');
});

it('names the program that uses its port', async () => {
  const { embedded, told, holders } = relays(45_877);
  holders[8443] = 'another Portal agent (pid 12)';
  await embedded.start(wanted(DEFAULT));
  expect(told).toEqual([
    'port 8443 is in use by another Portal agent (pid 12), so the embedded relay uses 45877 this time; to choose a port, set relays: { embedded: { port: 8444 } }',
  ]);
});

it('reports no port that was requested or free to choose', async () => {
  const { embedded, told } = relays(8443, 45_877);
  await embedded.start(wanted(DEFAULT));
  await embedded.start(wanted({ kind: 'embedded', port: 0 }));
  expect(told).toEqual([]);
});

it('that fails to start keeps its name, and its session starts it', async () => {
  const failure = new Error('in use');
  const { embedded } = relays(failure, failure, 45_877);
  const desired = wanted(DEFAULT);
  await embedded.start(desired);
  expect(embedded.placed(desired).relays).toEqual([DEFAULT]);
  await expect(embedded.take(DEFAULT)).rejects.toBe(failure);
  expect((await embedded.take(DEFAULT)).url).toBe('https://localhost:45877');
  // Its leases already use this name.
  await embedded.start(desired);
  expect(embedded.placed(desired).relays).toEqual([DEFAULT]);
});

it('starts again after a close, and an unused one closes with the agent', async () => {
  const { embedded, closed } = relays(8443, 45_877);
  await embedded.start(wanted(DEFAULT));
  embedded.forget({ kind: 'embedded', port: 8443 });
  await embedded.start(wanted(DEFAULT));
  await embedded.close();
  expect(closed).toEqual([45_877]);
});

it('is named in a configuration as in the running agent', () => {
  const desired = wanted(DEFAULT, ELSEWHERE);
  const state = { state: 'connected', since: '' } as const;
  expect(withActualPort(desired, [{ relay: 'embedded:45877', ...state }]).relays[0]).toEqual({
    kind: 'embedded',
    port: 45_877,
  });
  expect(withActualPort(desired, [])).toBe(desired);
});
