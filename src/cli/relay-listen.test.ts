import { expect, it } from 'vitest';
import { listenError } from '../relay/listen.js';
import { explainListen } from './relay-listen.js';

const refused = (code: string, port: number) =>
  explainListen(
    listenError(
      Object.assign(new Error(`listen ${code}`), { code, address: '192.0.2.1', port }),
      '192.0.2.1',
      port,
    ),
  );

it('names the ways to listen below port 1024', async () => {
  const { code, message, hint } = await refused('EACCES', 443);
  expect(code).toBe('listen_failed');
  expect(message).toBe('cannot listen on 192.0.2.1:443: permission denied (EACCES)');
  for (const way of ['deploy/portal-relay.socket', 'CAP_NET_BIND_SERVICE', '--public-port 443'])
    expect(hint).toContain(way);
});

it('says nothing about permissions for a port above 1023', async () => {
  expect((await refused('EACCES', 8443)).hint).toBeUndefined();
});

it('says that the machine lacks the address', async () => {
  const { message, hint } = await refused('EADDRNOTAVAIL', 8443);
  expect(message).toBe(
    'cannot listen on 192.0.2.1:8443: this machine does not have the address (EADDRNOTAVAIL)',
  );
  expect(hint).toContain('--listen :PORT');
});
