import { expect, it } from 'vitest';
import type { AgentsResponse, AgentView, NameView } from '../../protocol/agents.js';
import { mergeResponses } from './merge.js';

/** Merging the responses of several relays. */

const response = (
  relay: string,
  agents: readonly Partial<AgentView>[],
  names: readonly Partial<NameView>[] = [],
): { relay: string; response: AgentsResponse } => ({
  relay,
  response: {
    relay,
    identity: '0xA',
    now: '2026-01-01T00:00:00.000Z',
    agents: agents.map((agent) => ({
      identity: '0xA',
      own: true,
      state: 'connected',
      lastSeen: '2026-01-01T00:00:00.000Z',
      services: [],
      ...agent,
    })),
    names: names as NameView[],
  },
});

const service = (name: string) =>
  ({ service: name, phase: 'ready', visitors: 0, bytesIn: 0, bytesOut: 0 }) as const;

it('merges the responses of many relays into one agent, with its services at each', () => {
  const { agents } = mergeResponses([
    response('a', [{ id: '1', machine: 'laptop', services: [service('web')] }]),
    response('b', [{ id: '1', services: [service('web'), service('api')] }]),
  ]);
  expect(agents).toMatchObject([
    {
      id: '1',
      machine: 'laptop',
      relays: ['a', 'b'],
      services: [
        { service: 'web', relay: 'a' },
        { service: 'web', relay: 'b' },
        { service: 'api', relay: 'b' },
      ],
    },
  ]);
});

it('takes the state from the relay that is connected to the agent, in any order of responses', () => {
  const reconnecting = response('a', [
    { id: '1', state: 'reconnecting', machine: 'm', lastSeen: '2026-01-01T00:00:09.000Z' },
  ]);
  const here = response('b', [{ id: '1', state: 'connected', since: 'then' }]);
  for (const responses of [
    [reconnecting, here],
    [here, reconnecting],
  ])
    expect(mergeResponses(responses).agents).toMatchObject([
      { state: 'connected', since: 'then', machine: 'm' },
    ]);
});

it('hides state disconnected for a machine that is connected elsewhere, and shows it once otherwise', () => {
  const past = { state: 'disconnected', machine: 'laptop' } as const;
  const later = '2026-01-02T00:00:00.000Z';
  expect(
    mergeResponses([response('a', [past]), response('b', [{ id: '1', machine: 'laptop' }])]).agents,
  ).toMatchObject([{ state: 'connected' }]);
  expect(
    mergeResponses([response('a', [past]), response('b', [{ ...past, lastSeen: later }])]).agents,
  ).toMatchObject([{ state: 'disconnected', lastSeen: later, relays: ['a', 'b'] }]);
  // A machine with the same name and another identity is a different machine.
  expect(
    mergeResponses([response('a', [past, { id: '2', identity: '0xB', own: false, machine: 'laptop' }])])
      .agents,
  ).toHaveLength(2);
});

it('sorts your own agents first, connected agents before others, and names by name', () => {
  const { agents, names } = mergeResponses([
    response(
      'a',
      [
        { id: '1', own: false, identity: '0xB', machine: 'a' },
        { state: 'disconnected', machine: 'b' },
        { id: '3', machine: 'd' },
        { id: '2', machine: 'c' },
      ],
      [{ name: 'web' }, { name: 'api' }],
    ),
    response('b', [], [{ name: 'web' }]),
  ]);
  expect(agents.map(({ machine }) => machine)).toEqual(['c', 'd', 'b', 'a']);
  expect(names.map(({ name, relay }) => `${name} ${relay}`)).toEqual(['api a', 'web a', 'web b']);
});
