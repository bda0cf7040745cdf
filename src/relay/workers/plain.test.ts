import { expect, it } from 'vitest';
import { generateIdentity } from '../../identity/keys.js';
import { LIMITS } from '../../protocol/limits.js';
import { readDenyList } from '../protection/access-lists.js';
import { readLabelList } from '../names/labels.js';
import type { RelayOptions } from '../options.js';
import { dividedLimits } from './divided-limits.js';
import { optionsOf, plainOptions } from './plain.js';

const OWNER = '0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed';

it('options reach a worker as a copy, with their lists and their key', () => {
  const options = {
    domain: 'relay.test',
    host: ['127.0.0.1', '::1'],
    port: 8443,
    publicPort: 443,
    httpRedirect: { port: 80, isOptional: true },
    tls: { cert: 'CERT', key: 'KEY' },
    store: { file: 'relay.db' },
    identity: generateIdentity(),
    ports: { tcp: { from: 20_000, to: 20_009 } },
    peers: [{ url: 'https://peer.test' }],
    limits: { maxSessions: 7 },
    deny: readDenyList(`192.0.2.0/24\n2001:db8::1\n${OWNER}`),
    reservedLabels: readLabelList(`status ${OWNER}\nwww`),
    agents: { webDir: '/pages' },
  } satisfies RelayOptions;
  const plain = structuredClone(plainOptions(options, undefined));
  const { identity, deny, store: _store, ...rest } = { ...options, ...optionsOf(plain) };
  const { identity: before, deny: denied, store: _same, ...expected } = options;
  expect(rest).toMatchObject(expected);
  expect([identity.address, identity.derive('x')]).toEqual([before.address, before.derive('x')]);
  expect([deny.identities, deny.addresses.rangeOf('192.0.2.9'), deny.addresses.has('2001:db8::1')]).toEqual([
    denied.identities,
    '192.0.2.0/24',
    true,
  ]);
  expect(deny.addresses.has('198.51.100.1')).toBe(false);
});

it('workers share the limits that protect the machine, and each has the others', () => {
  const each = dividedLimits({ ...LIMITS, maxSessions: 10, maxSessionsPerIdentity: 10 }, 4);
  expect(each).toMatchObject({
    maxSessions: 3,
    maxSessionsPerIdentity: 10,
    visitorWaitMs: LIMITS.visitorWaitMs,
  });
  expect(dividedLimits({ ...LIMITS, maxHandshakes: 1 }, 4).maxHandshakes).toBe(1);
});
