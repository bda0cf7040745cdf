import { expect, it } from 'vitest';
import type { ServiceView } from '../../protocol/agents.js';
import { createStyle } from '../text/style.js';
import { describeAgents } from './describe.js';

const service = (name: string, metadata?: Record<string, string>): ServiceView & { relay: string } => ({
  name,
  relay: 'https://relay.example',
  phase: 'ready',
  visitors: 0,
  bytesIn: 0,
  bytesOut: 0,
  ...(metadata && { metadata }),
});

const lines = (...services: ReturnType<typeof service>[]): string[] =>
  describeAgents(
    {
      agents: [
        {
          identity: '0x1',
          own: true,
          machine: 'laptop',
          state: 'reconnecting',
          lastSeen: new Date(0).toISOString(),
          services,
          relays: ['https://relay.example'],
        },
      ],
      names: [],
    },
    createStyle(false),
    60_000,
  );

it('shows metadata on the line of its service, without control characters', () => {
  const [, head, web, bare] = lines(
    service('web', { owner: 'team-web', note: 'a\u001b[2J\nb\u202Ec' }),
    service('bare'),
  );
  expect(head).toMatch(/OUT +METADATA$/);
  expect(web).toMatch(/owner=team-web note=a \[2J b c$/);
  expect(bare).not.toContain('=');
});

it('cuts long metadata, and has no column for it without any', () => {
  const long = lines(service('web', { note: 'x'.repeat(256) })).join('\n');
  expect(long).toContain('…');
  expect(long).not.toContain('x'.repeat(80));
  expect(lines(service('web')).join('\n')).not.toContain('METADATA');
});

const name = (use: 'free' | 'served', reservedUntil: string) => ({
  name: use,
  relay: 'https://relay.example',
  ports: {},
  use,
  reservedUntil,
});

it('shows until when names are reserved', () => {
  const last = (...names: ReturnType<typeof name>[]) =>
    describeAgents({ agents: [], names }, createStyle(false), 0).at(-1);
  expect(last(name('served', '1970-01-31T00:00:00.000Z'))).toMatch(/ yes +1970-01-31$/);
  expect(last(name('served', '1970-01-01T00:00:30.000Z'))).toMatch(/ yes +not reserved yet$/);
  expect(last(name('free', '1970-01-01T00:09:30.000Z'))).toMatch(/ no +1970-01-01 00:09 UTC$/);
});

it.each([80, 50])('has tables of at most %i columns', (width) => {
  const agent = {
    id: '6a9d4a34',
    machine: 'build-server.example',
    version: '0.1.0',
    from: '203.0.113.7',
    identity: '0x1',
    own: true,
    state: 'reconnecting' as const,
    lastSeen: new Date(0).toISOString(),
    services: [
      { ...service('frontend', { note: 'x'.repeat(60) }), address: 'https://frontend.staging.relay.example' },
    ],
    relays: [],
  };
  const names = [
    { ...name('served', '1970-01-31T00:00:00.000Z'), name: 'frontend', ports: { tcp: 20_000, udp: 20_000 } },
  ];
  const tables = describeAgents({ agents: [agent], names }, createStyle(false), 0, width);
  const text = tables.join('\n');
  for (const shown of ['https://frontend.staging.relay.example', 'from 203.0.113.7', 'id 6a9d4a34'])
    expect(text).toContain(shown);
  expect(tables.filter((line) => line.length > width)).toEqual([]);
});
