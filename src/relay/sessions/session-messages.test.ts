import { expect, it } from 'vitest';
import { openedOf, welcomeOf } from './session-messages.js';

const RECORD = {
  id: 'L',
  hostname: 'web.relay.test',
  kind: 'tls',
  port: undefined,
  portHost: undefined,
} as const;
const CONTEXT = {
  domain: 'relay.test',
  publicPort: 8443,
  datagramPort: undefined,
  capabilities: ['tcp'],
  carriers: ['tls'],
  heartbeatMs: 1_000,
  ports: { rangeOf: () => ({ from: 5, to: 9 }) },
};

it('says where datagrams go only if the relay takes some', () => {
  expect(welcomeOf('S', CONTEXT)).not.toHaveProperty('datagramPort');
  expect(welcomeOf('S', { ...CONTEXT, datagramPort: 5 })).toMatchObject({ session: 'S', datagramPort: 5 });
});

it('says the address of a lease, and the range of ports for a port', () => {
  const opened = { type: 'lease.opened', id: 1, lease: 'L', hostname: 'web.relay.test' };
  expect(openedOf(1, RECORD, CONTEXT)).toEqual({ ...opened, url: 'https://web.relay.test:8443' });
  expect(openedOf(1, { ...RECORD, kind: 'tcp', port: 7 }, CONTEXT)).toEqual({
    ...opened,
    tcpAddr: 'relay.test:7',
    ports: { from: 5, to: 9 },
  });
});
