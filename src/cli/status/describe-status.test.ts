import { expect, it } from 'vitest';
import type { LeaseStatus, RelayStatus } from '../../agent/status.js';
import type { AgentStatus } from '../../reconcile/events.js';
import { timeText } from '../text/amounts.js';
import { createStyle } from '../text/style.js';
import { describeStatus } from './describe-status.js';

const NOW = Date.parse('2026-01-01T00:00:00Z');

const lease = (service: string, relay: string): LeaseStatus =>
  ({
    service,
    relay,
    phase: 'ready',
    since: '2025-12-31T23:59:00Z',
    retries: 0,
    tcpAddr: '192.0.2.1:2000',
    visitors: 0,
    bytesIn: 0,
    bytesOut: 0,
    mode: 'tcp',
    servedAs: 'tcp',
    target: 'localhost:3000',
  }) as unknown as LeaseStatus;

function shown(leases: readonly LeaseStatus[], over: Partial<AgentStatus> = {}, width = Infinity): string {
  const status = {
    file: null,
    pid: 1,
    startedAt: '2025-12-31T00:00:00Z',
    revision: 1,
    identity: '0x',
    rejected: [],
  };
  const all = { ...status, version: '1', relays: [], leases, ...over };
  return describeStatus(all as unknown as AgentStatus, createStyle(false), NOW, width).join('\n');
}

it('names the command for a save that asks for more', () => {
  const rejected = [
    { file: '/app/portal.yaml', line: 1, column: 1, code: 'config_not_allowed', message: 'no' },
  ];
  const text = shown([], { rejected: rejected as unknown as AgentStatus['rejected'] });
  expect(text).toContain('asks for more than you allowed; to allow it, run `portal allow`. The agent runs');
});

it('shows the relay of each lease if a service is on several', () => {
  const [a, b] = ['https://a.example', 'https://b.example'];
  expect(shown([lease('web', a), lease('api', b)])).not.toContain('RELAY');
  const several = shown([lease('web', a), lease('web', b)]);
  expect(several).toMatch(/ADDRESS +RELAY +TARGET/);
  expect(several).toMatch(/192\.0\.2\.1:2000 +https:\/\/a\.example +localhost:3000/);
  expect(several).toMatch(/192\.0\.2\.1:2000 +https:\/\/b\.example +localhost:3000/);
});

it('shows open connections, and the requests so far of services that count them', () => {
  const web = { ...lease('web', 'https://a.example'), servedAs: 'http' as const };
  const used = { ...web, visitors: 2, requests: 31 };
  const shared = shown([used, { ...web, service: 'new' }, lease('db', 'https://a.example')]);
  expect(shared).toMatch(/VERIFIED +OPEN +REQUESTS +IN +OUT\n/);
  expect(shared).toMatch(/^web .* 2 +31 +0 B +0 B$/m);
  expect(shared).toMatch(/^new .* 0 +0 +0 B +0 B$/m);
  expect(shared).toMatch(/^db .* 0 +– +0 B +0 B$/m);
  expect(shown([lease('db', 'https://a.example')])).not.toContain('REQUESTS');
});

it('shows since when a target is down, or back', () => {
  const web = { ...lease('web', 'https://a.example'), localSince: '2025-12-31T23:59:57Z' };
  expect(shown([{ ...web, targetError: 'nothing listens' }])).toMatch(/^web +target down +3s /m);
  expect(shown([web])).toMatch(/^web +ready +3s /m);
  expect(shown([{ ...web, phase: 'retrying' }])).toMatch(/^web +retrying +1m /m);
  expect(shown([{ ...web, localSince: '2025-12-31T23:00:00Z' }])).toMatch(/^web +ready +1m /m);
});

it('shows the relay of a service without an address in a column of its own', () => {
  const failed = { ...lease('game', 'https://a.example'), phase: 'failed', tcpAddr: undefined };
  expect(shown([failed as unknown as LeaseStatus])).toMatch(
    /ADDRESS +RELAY +TARGET.*\ngame +failed +\d+m? *\S* +https:\/\/a\.example +localhost:3000/,
  );
});

it.each([
  ['http', 'visitors get a 503 page'],
  ['stream', 'HTTP visitors get a 503 page, and other connections are reset'],
  ['tcp', 'connections are reset'],
  ['udp', "visitors' datagrams are lost"],
] as const)('says what visitors of mode %s see while the target is down', (mode, consequence) => {
  const down = { ...lease('web', 'https://a.example'), mode, targetError: 'nothing listens' };
  expect(shown([down as LeaseStatus])).toContain(`nothing listens; ${consequence}\n`);
});

it('says that POST requests wait while the target is down', () => {
  const down = {
    ...lease('hooks', 'https://a.example'),
    mode: 'auto',
    targetError: 'down',
    holdMs: { '/': 1_000 },
  };
  expect(shown([down as LeaseStatus])).toContain('down; POST requests are held, and others get a 503 page\n');
});

it('shows that a relay disconnected the agent', () => {
  const error = { code: 'disconnected', message: 'disconnected by its owner' };
  const relays = [
    { relay: 'https://a.example', state: 'retrying', since: '', error },
  ] as AgentStatus['relays'];
  expect(shown([], { relays })).toMatch(/https:\/\/a\.example +disconnected\n/);
});

it('says nothing about visitors of a service that the relay does not publish', () => {
  const failed = { phase: 'failed', mode: 'udp', tcpAddr: undefined, targetError: 'nothing listens' };
  const text = shown([{ ...lease('game', 'https://a.example'), ...failed } as unknown as LeaseStatus]);
  expect(text).toMatch(/nothing listens$/m);
  expect(text).not.toContain('visitors get');
});

it.each([80, 50])('has tables of at most %i columns', (width) => {
  const [relay, url] = ['https://relay.example.com', 'https://frontend.relay.example.com'];
  const web = { ...lease('frontend', relay), url, unproven: { failures: 0, reason: 'no visit' } };
  const error = { code: 'relay_unreachable', message: 'no connection', hint: 'Check the network.' };
  const relays = [{ relay, state: 'retrying', since: '', rttMs: 12, error }] as AgentStatus['relays'];
  const text = shown([web as LeaseStatus], { relays }, width);
  expect(text).toContain(url);
  const prose = /no visit|no connection|Check the network/;
  expect(text.split('\n').filter((line) => line.length > width && !prose.test(line))).toEqual([]);
  expect(text).toContain('\n  no connection [relay_unreachable]\n    Check the network.');
});

it('shows host and port of a service that does not speak HTTP', () => {
  const redis = {
    ...lease('db', 'https://r'),
    tcpAddr: undefined,
    url: 'https://db.example',
    servedAs: 'stream',
  };
  expect(shown([{ ...redis, mode: 'auto' } as unknown as LeaseStatus])).toContain(' tls://db.example:443 ');
  expect(shown([{ ...redis, mode: 'stream' } as unknown as LeaseStatus])).toContain(' https://db.example ');
});

it.each<[string, Partial<LeaseStatus>]>([
  ['ready', {}],
  ['target down', { targetError: 'nothing listens' }],
  ['degraded', { targetError: 'nothing listens', routes: { '/': 'localhost:1', '/api': 'localhost:2' } }],
  ['unhealthy', { healthError: 'GET / returned 500' }],
  ['ready (unverified)', { unproven: { since: '', failures: 1, reason: 'timeout' } }],
  ['retrying', { phase: 'retrying', targetError: 'nothing listens' }],
])('has the state %s of a lease with %j', (state, over) => {
  const text = shown([{ ...lease('web', 'https://a.example'), ...over }]);
  expect(text).toContain(`\nweb      ${state}  `);
});

it('shows the gates of a service, and how many visitors each has rejected', () => {
  const gates = { ip: 'only from 10.0.0.0/8, 192.0.2.1', pin: 'with a PIN' };
  const web = { ...lease('web', 'https://a.example'), gates };
  expect(shown([web])).toContain('\n  access: only from 10.0.0.0/8, 192.0.2.1; with a PIN\n');
  expect(shown([{ ...web, refused: { pin: 5, ip: 1 } }])).toContain(
    '\n  access: only from 10.0.0.0/8, 192.0.2.1 (1 rejected); with a PIN (5 rejected)\n',
  );
  // A gate that was removed no longer rejects.
  expect(shown([{ ...lease('web', 'https://a.example'), refused: { rate: 3 } }])).toContain(
    '\n  access: everyone; 3 rejected before by rate\n',
  );
  expect(shown([lease('web', 'https://a.example')])).not.toContain('access:');
});

it('shows the requests that wait for each route, since when, and why', () => {
  const held = [
    { service: 'hooks', route: '/', waiting: 1, bytes: 2_000, since: '2025-12-31T23:58:00Z' },
    {
      service: 'hooks',
      route: '/stripe',
      waiting: 3,
      bytes: 0,
      since: '2025-12-31T23:59:30Z',
      error: 'the target responded with 500',
    },
  ];
  const text = shown([lease('hooks', 'https://a.example')], { held });
  expect(text).toMatch(/^hooks: 1 request held, 2(\.0)? kB, for 2m$/m);
  expect(text).toMatch(/^hooks \/stripe: 3 requests held, 0 B, for 30s: the target responded with 500$/m);
});

it('shows when a service expires', () => {
  const web = { ...lease('web', 'https://a.example'), expiresAt: '2026-01-01T08:00:00Z' };
  expect(shown([web])).toContain(`\n  expires in 8 h, at ${timeText(Date.parse(web.expiresAt), NOW)}\n`);
  expect(shown([lease('web', 'https://a.example')])).not.toContain('expires');
});

it('names each route whose target is down', () => {
  const routes = { '/': 'localhost:1', '/api': 'localhost:2' };
  const down = { targetError: 'nothing listens', targetErrors: { 'localhost:2': 'nothing listens' }, routes };
  const text = shown([{ ...lease('web', 'https://a.example'), mode: 'http', ...down }]);
  expect(text).toContain('\n  route /api: nothing listens; visitors get a 503 page');
  expect(text).toContain(' 2 routes (1 down) ');
});

it('shows the error of a relay once, with the relay', () => {
  const relay = 'https://a.example';
  const error = { code: 'relay_unreachable', message: `no connection to ${relay}`, hint: 'Start the relay.' };
  const lost = { phase: 'retrying', error, nextInMs: 2_000 };
  const leases = ['web', 'api'].map((name) => ({ ...lease(name, relay), ...lost }) as LeaseStatus);
  const relays = [{ relay, state: 'retrying', since: '', error, nextInMs: 2_000 }] as AgentStatus['relays'];
  const text = shown(leases, { relays });
  expect(text.split('no connection').length - 1).toBe(1);
  expect(text.split('Start the relay.').length - 1).toBe(1);
  expect(text.split('next try in').length - 1).toBe(1);
  expect(shown([{ ...leases[0]!, error: { ...error, message: 'name taken' } }], { relays })).toContain(
    'name taken',
  );
});

it('has no words of the program in it', () => {
  const never = { ...lease('web', 'https://a.example'), mode: 'auto', servedAs: 'undecided' } as LeaseStatus;
  expect(shown([never])).toMatch(/SERVED AS +VERIFIED[^]* unknown +never /);
  expect(shown([never])).not.toMatch(/revision|undecided|proven/i);
});

it('says why the protocol of a service is unknown', () => {
  const auto = { ...lease('web', 'https://a.example'), mode: 'auto', servedAs: 'undecided' } as LeaseStatus;
  expect(shown([auto])).toContain(
    '\n  the target is silent, so Portal does not know yet whether it speaks HTTP. To choose, set `mode`.',
  );
  expect(shown([{ ...auto, targetError: 'nothing listens on port 3000' }])).not.toContain('silent');
  expect(shown([{ ...auto, phase: 'retrying' }])).not.toContain('silent');
  expect(shown([{ ...auto, since: new Date(NOW - 5_000).toISOString() }])).not.toContain('silent');
});

it('shows how many relays of a registry the pool does not use', () => {
  expect(shown([], { registry: { source: 'list.json', relays: 3, inChains: 2 } })).toContain(
    'registry list.json: 3 relays; the pool does not use 2 of them, which are part of a chain',
  );
});

it('says when the agent retries a lease or a renewal', () => {
  const error = { code: 'acme_rejected', message: 'no address', hint: 'Create a record.' };
  const waiting = { ...lease('web', 'https://a.example'), phase: 'retrying', error, nextInMs: 47_200 };
  expect(shown([waiting as LeaseStatus])).toContain('    Create a record.\n  next try in 48 s');
  const nextAt = new Date(NOW + 3_600_000).toISOString();
  const renewing = { ...lease('web', 'https://a.example'), certificate: { error, nextAt } };
  expect(shown([renewing as LeaseStatus])).toMatch(/Create a record\.\n {2}next try in 60 min/);
});

it('breaks neither the age of the agent nor the row of a relay on a narrow terminal', () => {
  const relays = [
    {
      relay: 'https://relay.tunnel.example.com:9443',
      state: 'connected',
      since: '',
      rttMs: 1.4,
    } as RelayStatus,
  ];
  const lines = (width: number): string[] =>
    shown([lease('web', relays[0]!.relay)], { relays, file: '/home/me/project/portal.yaml' }, width).split(
      '\n',
    );
  expect(lines(80)[0]).toBe('/home/me/project/portal.yaml · pid 1 · up 1d');
  expect(lines(40).slice(0, 2)).toEqual(['/home/me/project/portal.yaml · pid 1', 'up 1d']);
  expect(lines(80).slice(-2)).toEqual([
    'RELAY                                  STATE      ROUND TRIP',
    'https://relay.tunnel.example.com:9443  connected  1 ms',
  ]);
  expect(lines(40).slice(-4)).toEqual([
    'RELAY',
    '  STATE',
    'https://relay.tunnel.example.com:9443',
    '  connected  1 ms',
  ]);
});

const shared = (replicas: LeaseStatus['replicas']): string =>
  shown([{ ...lease('web', 'https://a.example'), ...(replicas && { replicas }) }]);

it('shows which other agents serve the name of a replica', () => {
  expect(shared(undefined)).not.toContain('replica');
  expect(shared({ use: 'active', others: [] })).toContain(
    '  replica: active; no other agent serves this name',
  );
  const others = ['one', 'two', 'three', 'four', 'five'].map((agent) => ({ agent, use: 'active' as const }));
  expect(shared({ use: 'standby', others: others.slice(0, 1) })).toContain(
    '  replica: standby; 1 other agent serves this name: one (active)',
  );
  expect(shared({ use: 'unhealthy', others })).toContain(
    '5 other agents serve this name: one (active), two (active), three (active), four (active), and 1 more',
  );
});

it('shows which routes hold requests, and for how long', () => {
  const hooks = { ...lease('hooks', 'https://a.example'), holdMs: { '/github': 600_000, '/': 3_600_000 } };
  expect(shown([hooks])).toContain(
    '  holds POST requests while its target is down: /github for 10m, / for 1h',
  );
});

it('shows that a command starts, and what it waits for', () => {
  const down = {
    ...lease('web', 'https://a.example'),
    targetError: 'it does not respond yet',
    targetErrors: { 'localhost:3000': 'it does not respond yet' },
  };
  const starting = { targets: ['localhost:3000'] };
  expect(shown([down])).toMatch(/^web +target down .*localhost:3000 \(down\)/m);
  const alone = shown([{ ...down, starting }]);
  expect(alone).toMatch(/^web +starting .*localhost:3000 \(starting\)/m);
  expect(alone).toContain('  its command starts; connections are reset');
  expect(alone).not.toContain('down');
  const command = { name: 'web', service: 'web', run: 'vite', state: 'waiting', restarts: 0 } as const;
  const waiting = shown([{ ...down, starting: { ...starting, waitsFor: ['api'] } }], {
    commands: [{ ...command, waitsFor: ['api'] }],
  });
  expect(waiting).toContain('  waiting for api; connections are reset');
  expect(waiting).toMatch(/^web +waiting for api /m);
});
