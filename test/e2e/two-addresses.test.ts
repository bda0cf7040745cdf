/** A relay whose name has two addresses, of which one works: the real programs, and a DNS server. */
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, it, type TestContext } from 'vitest';
import type { RecordType } from 'dns-packet';
import { systemDns, type Said } from '../support/dns-server.js';
import { hostsFile } from '../support/hosts.js';
import { hasIpv6, NO_IPV6 } from '../support/ipv6.js';
import { freePort } from '../support/ports.js';
import { silentPort } from '../support/silent-port.js';
import { httpsGet } from '../support/visitor.js';
import { httpService } from '../support/world.js';
import { jsonLines, Person } from './cli-support.js';

const DOMAIN = 'relay.test';
const ADDRESSES = { A: '127.0.0.1', AAAA: '::1' } as const;
type Kind = keyof typeof ADDRESSES;

interface World {
  readonly works: Kind;
  /** What happens to connections to the other address, or to the query for it. */
  readonly other: 'refuses' | 'black-holed' | 'not answered by DNS';
}

async function world(context: TestContext, { works, other }: World) {
  context.skip(!hasIpv6, NO_IPV6);
  const [operator, person] = [await Person.create(), await Person.create()];
  const bracketed = works === 'A' ? '127.0.0.1' : '[::1]';
  const relay = operator.start([
    'relay',
    '--json',
    '--domain',
    DOMAIN,
    '--listen',
    `${bracketed}:${await freePort()}`,
    '--log-level',
    'error',
  ]);
  const { url, ca } = await relay.event('listening');
  const { port } = new URL(String(url));
  const isThere = (type: RecordType): type is Kind => type in ADDRESSES;
  const answer = (name: string, type: RecordType): Said => {
    if (!isThere(type)) return [];
    if (type !== works && other === 'not answered by DNS') return 'silence';
    return [{ type, name, ttl: 1, data: ADDRESSES[type] }];
  };
  const { resolvConf } = await systemDns(context, answer);
  if (other === 'black-holed')
    await silentPort(context, ADDRESSES[works === 'A' ? 'AAAA' : 'A'], Number(port));
  const made = await hostsFile('127.0.0.1 localhost\n', resolvConf);
  const within = 'skip' in made ? context.skip(made.skip) : made.within;
  return { person, within, url: String(url), ca: String(ca) };
}

it.for([
  { works: 'A', other: 'refuses' },
  { works: 'A', other: 'black-holed' },
  { works: 'A', other: 'not answered by DNS' },
  { works: 'AAAA', other: 'refuses' },
  { works: 'AAAA', other: 'black-holed' },
  { works: 'AAAA', other: 'not answered by DNS' },
] as const)('is ready at the first attempt: $works works, the other is $other', async (which, context) => {
  const { person, within, url, ca } = await world(context, which);
  const { port } = await httpService((_request, response) => response.end('here'));
  const config = { version: 1, relays: { urls: [{ url, ca }] }, services: { web: port } };
  // JSON is YAML.
  await writeFile(join(person.folder, 'portal.yaml'), JSON.stringify(config));
  const up = person.start(['up', '--json'], { within });
  const started = await up.event('started');
  const ready = await up.event('ready');
  const { urls } = (ready['services'] as { web: { urls: string[] } }).web;
  expect(await httpsGet(urls[0]!, String(started['ca']), ADDRESSES[which.works])).toBe('here');
  // Waiting for the other address, or for the resolver, takes longer than an attempt may.
  expect(jsonLines(up.stdout).filter((line) => line['phase'] === 'retrying')).toEqual([]);
});

it('portal doctor reports which address responds and which does not', async (context) => {
  const { person, within, url, ca } = await world(context, { works: 'A', other: 'refuses' });
  const { port } = new URL(url);
  const config = { version: 1, relays: { urls: [{ url, ca }] }, services: { web: 1 } };
  await writeFile(join(person.folder, 'portal.yaml'), JSON.stringify(config));
  const { stdout } = await person.run(['doctor', '--json'], { within });
  const found = jsonLines(stdout).filter(({ check }) => check === 'relay.address' || check === 'relay.tcp');
  expect(found.map(({ level, message }) => [level, message])).toEqual([
    ['warning', `::1 is unreachable on port ${port} (ECONNREFUSED)`],
    ['ok', '127.0.0.1 is reachable'],
    ['ok', `port ${port} is open`],
  ]);
});
