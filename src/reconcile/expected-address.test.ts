import { expect, it } from 'vitest';
import type { RelaySpec, ServiceSpec } from '../agent/spec.js';
import { expectedAddress } from './expected-address.js';

const one: RelaySpec = { kind: 'url', url: 'https://one.example:8443/' };
const two: RelaySpec = { kind: 'url', url: 'https://two.example' };
const embedded = (port: number): RelaySpec => ({ kind: 'embedded', port });
const chain = { kind: 'chain', name: 'far', hops: [two, one] } as unknown as RelaySpec;

const spec = (over: Partial<ServiceSpec> = {}): ServiceSpec =>
  ({
    service: 'web',
    name: 'web',
    mode: 'auto',
    hostname: undefined,
    port: undefined,
    target: { kind: 'tcp', host: 'localhost', port: 3000, tls: false },
    ...over,
  }) as ServiceSpec;

it.each([
  ['https://web.one.example:8443', one, spec()],
  ['https://web.two.example', two, spec()],
  ['https://web.localhost:8443', embedded(8443), spec()],
  ['https://web.localhost (any port)', embedded(0), spec()],
  ['https://web.two.example', chain, spec()],
  ['https://shop.example.com (on https://two.example)', two, spec({ hostname: 'shop.example.com' })],
  ['tcp one.example:25565', one, spec({ mode: 'tcp', port: 25565 })],
  ['udp localhost (any port)', embedded(8443), spec({ mode: 'udp' })],
  // The target needs this port.
  ['udp localhost (any port)', embedded(8443), spec({ mode: 'udp', port: 3000 })],
])('%s', (address, relay, service) => {
  expect(expectedAddress({ relay, spec: service })).toBe(address);
});
