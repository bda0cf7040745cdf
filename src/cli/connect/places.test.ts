import { describe, expect, it } from 'vitest';
import { service } from '../../../test/support/world.js';
import type { RelaySpec, ServiceSpec } from '../../agent/spec.js';
import { isHostname, placeIn, placeOf } from './places.js';

const RELAY: RelaySpec = { kind: 'url', url: 'https://relay.example.com' };
const OTHER: RelaySpec = { kind: 'url', url: 'https://other.example.com:8443' };
const CHAIN: RelaySpec = { kind: 'chain', hops: [OTHER, RELAY] };

const place = (over: Partial<ServiceSpec>) =>
  placeIn(
    { file: undefined, identityFile: undefined, relays: [], services: [service('db', 5432, over)] },
    'db',
  );

describe('the place of a service in the file', () => {
  it('is at each of its relays, with the port of its target', () => {
    expect(place({ relays: [RELAY, OTHER], identity: '0x1' })).toMatchObject({
      hostname: 'db.relay.example.com',
      owner: '0x1',
      targetPort: 5432,
      doors: [
        { hostname: 'db.relay.example.com', host: 'relay.example.com', port: 443 },
        { hostname: 'db.other.example.com', host: 'other.example.com', port: 8443 },
      ],
    });
  });

  it('is at the first relay of a chain, at its own domain, or at the embedded relay', () => {
    expect(place({ relays: [CHAIN] }).doors).toMatchObject([
      { hostname: 'db.other.example.com', host: 'other.example.com', port: 8443 },
    ]);
    expect(place({ relays: [RELAY], hostname: 'db.example.org' }).doors).toMatchObject([
      { hostname: 'db.example.org', host: 'relay.example.com', port: 443 },
    ]);
    expect(place({ relays: [{ kind: 'embedded', port: 8444 }] }).doors).toMatchObject([
      { hostname: 'db.localhost', host: 'localhost', port: 8444 },
    ]);
  });

  it('is unknown without a relay or a port', () => {
    expect(() => place({ relays: [] })).toThrow(/names no relay of db/);
    expect(() => place({ relays: [{ kind: 'embedded', port: 0 }] })).toThrow(/no agent is running here/);
    expect(() => place({ relays: [RELAY], mode: 'udp' })).toThrow(/runs mode udp/);
  });
});

describe('the place of a hostname', () => {
  it.each([
    ['db.relay.example.com', 'db.relay.example.com', 443],
    ['DB.relay.example.com:8443', 'db.relay.example.com', 8443],
    ['https://db.relay.example.com/', 'db.relay.example.com', 443],
  ])('of %s', (word, hostname, port) => {
    expect(isHostname(word)).toBe(true);
    expect(placeOf(word)).toMatchObject({ service: word, hostname, doors: [{ hostname, port }] });
  });

  it.each(['db.example.com:0', 'db.example.com:65536', 'a..b c', 'http://db.example.com', '.'])(
    'is invalid for %j',
    (word) => {
      expect(() => placeOf(word)).toThrow(expect.objectContaining({ code: 'usage' }));
    },
  );

  it('differs from the name of a service', () => {
    expect(isHostname('db')).toBe(false);
  });
});
