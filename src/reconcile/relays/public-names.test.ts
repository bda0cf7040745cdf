import { setImmediate } from 'node:timers/promises';
import { expect, it } from 'vitest';
import { service } from '../../../test/support/world.js';
import type { RelaySpec, UrlRelay } from '../../agent/spec.js';
import { silent } from '../../lib/logger.js';
import { deferred } from '../../lib/wait.js';
import { notFound } from '../../net/resolve.js';
import type { Notice } from '../notices.js';
import { PublicNames, type PublicNamesOptions } from './public-names.js';

const at = (url: string): UrlRelay => ({ kind: 'url', url });
const RELAY = at('https://relay.example.com');
const ready = (name: string, domain = 'relay.example.com') => ({
  spec: service(name, 1),
  address: { url: `https://${name}.${domain}` },
});

function watched(options: Partial<PublicNamesOptions> = {}) {
  const [asked, notices]: [string[], Notice[]] = [[], []];
  const names = new PublicNames({
    resolve: (name) => {
      asked.push(name);
      return Promise.reject(notFound(name));
    },
    notify: (notice) => notices.push(notice),
    log: silent,
    ...options,
  });
  return { names, asked, notices };
}

it('reports the missing record of a relay once, with the fix', async () => {
  const { names, asked, notices } = watched();
  names.ready(RELAY, ready('web'));
  names.ready(RELAY, ready('api'));
  await setImmediate();
  names.ready(RELAY, ready('web'));
  await setImmediate();
  expect(asked).toEqual(['web.relay.example.com']);
  expect(notices).toEqual([
    {
      kind: 'dns_missing',
      service: 'web',
      name: 'web.relay.example.com',
      domain: 'relay.example.com',
      message:
        'web.relay.example.com has no address in DNS, so visitors cannot reach it. *.relay.example.com needs a DNS record that points to relay.example.com; run portal doctor',
    },
  ]);
});

it('reports nothing if the name resolves, or if DNS does not work', async () => {
  for (const resolve of [
    () => Promise.resolve(['192.0.2.1']),
    () => Promise.reject(Object.assign(new Error('later'), { code: 'EAI_AGAIN' })),
  ]) {
    const { names, notices } = watched({ resolve });
    names.ready(RELAY, ready('web'));
    await setImmediate();
    expect(notices).toEqual([]);
  }
});

it.each<[what: string, relay: RelaySpec, lease: Parameters<PublicNames['ready']>[1]]>([
  ['a local name', at('https://relay.test'), ready('web', 'relay.test')],
  ['localhost', at('https://localhost:8443'), ready('web', 'localhost')],
  ['an IP address', at('https://[2001:db8::1]'), ready('web')],
  ['an embedded relay', { kind: 'embedded', port: 8443 }, ready('web', 'localhost')],
  ['a chain', { kind: 'chain', hops: [RELAY, RELAY] }, ready('web')],
  ['a port', RELAY, { spec: service('db', 1), address: { tcpAddr: 'relay.example.com:5432' } }],
  ['a domain of the user', RELAY, { ...ready('web'), spec: { ...service('web', 1), hostname: 'a.example' } }],
])('does not look up %s', (_what, relay, lease) => {
  const { names, asked } = watched();
  names.ready(relay, lease);
  expect(asked).toEqual([]);
});

it('looks up nothing behind a proxy', () => {
  const { names, asked } = watched({
    proxyFor: () => ({}) as never,
  });
  names.ready(RELAY, ready('web'));
  expect(asked).toEqual([]);
});

it('reports nothing once the agent stops', async () => {
  const answer = deferred<string[]>();
  const { names, notices } = watched({ resolve: () => answer.promise });
  names.ready(RELAY, ready('web'));
  names.close();
  answer.reject(notFound('web.relay.example.com'));
  await setImmediate();
  expect(notices).toEqual([]);
});
