import { expect, it } from 'vitest';
import { LIMITS } from '../../protocol/limits.js';
import type { LiveAgent } from './agents.js';
import { observe, type ObservedParts } from './observe.js';
import { viewOf, type ViewParts, type ViewPlace } from './view.js';

/** The agents and services of a response that cannot show all. */

const ASKS = '0xAsks';

function agent(address: string, number: number, services: number): LiveAgent {
  return {
    session: {
      address,
      instance: `${address} ${number}`,
      version: '1',
      remoteAddress: '192.0.2.1',
      silentMs: 0,
      refuse: () => undefined,
    },
    since: new Date(0),
    machine: `m${number}`,
    team: new Set([ASKS]),
    services: new Map(
      Array.from({ length: services }, (_, at) => [`s${at}`, { service: `s${at}`, phase: 'ready' as const }]),
    ),
  };
}

function seenBy(
  live: readonly LiveAgent[],
  { leases = [] as unknown[], seen = [] as unknown[], isWhole = true } = {},
) {
  const known = {
    agents: { live, away: () => undefined },
    leases: { all: () => leases },
  } as unknown as ObservedParts;
  const parts = {
    observed: async (identity: string) => ({ ...observe(identity, known), isWhole }),
    leases: { recordsAt: () => [] },
    reservations: { of: async () => [] },
    store: { seen: { of: async () => seen } },
    reservationMs: 1,
  } as unknown as ViewParts;
  return viewOf(ASKS, parts, { url: 'https://relay.test' } as ViewPlace);
}

it('an identity with many agents or services does not hide the others', async () => {
  const crowd = Array.from({ length: LIMITS.maxAgentsShown + 10 }, (_, at) => agent('0xCrowd', at, 20));
  const { agents, truncated } = await seenBy([...crowd, agent('0xMate', 1, 30), agent(ASKS, 1, 40)]);
  expect(agents).toHaveLength(LIMITS.maxAgentsShown);
  expect(truncated).toBe(true);
  const of = (identity: string) => agents.filter((one) => one.identity === identity);
  expect(of(ASKS).map(({ services }) => services.length)).toEqual([40]);
  expect(of('0xMate').map(({ services }) => services.length)).toEqual([30]);
  const shown = agents.reduce((sum, { services }) => sum + services.length, 0);
  expect(shown).toBeLessThanOrEqual(LIMITS.maxAgentServicesShown);
  expect(agents[0]!.own).toBe(true);
});

it('shows everything that fits', async () => {
  const { agents, truncated } = await seenBy([agent('0xMate', 1, 9_000), agent(ASKS, 1, 1_000)]);
  expect(agents.map(({ services }) => services.length)).toEqual([1_000, 9_000]);
  expect(truncated).toBeUndefined();
});

it('calls no agent disconnected that may run at a node that does not respond', async () => {
  const seen = [{ machine: 'earlier', version: '1', seenAt: 0 }];
  const states = async (isWhole: boolean) =>
    (await seenBy([], { seen, isWhole })).agents.map(({ machine, state }) => [machine, state]);
  expect(await states(true)).toEqual([['earlier', 'disconnected']]);
  expect(await states(false)).toEqual([]);
});

it('shows no address of a lease whose port opens', async () => {
  const record = { owner: ASKS, instance: `${ASKS} 1`, id: '1', place: 'tcp db', kind: 'tcp', name: 'db' };
  const [own] = (
    await seenBy([agent(ASKS, 1, 0)], {
      leases: [{ record, metadata: {}, traffic: { read: () => ({}) } }],
    })
  ).agents;
  expect(own!.services).toMatchObject([{ name: 'db' }]);
  expect(own!.services[0]).not.toHaveProperty('address');
});
