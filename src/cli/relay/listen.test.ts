import { expect, it } from 'vitest';
import { listenError } from '../../net/listen/listen-error.js';
import { explainListen, unreachableFromOutside } from './listen.js';

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

it.each([
  ['a bare port with --acme', { acme: true }, /visitors and the CA cannot reach it/],
  ['certificate files', {}, /so visitors cannot reach it/],
])('warns of a public relay on loopback only: %s', (_case, options, message) => {
  const warning = unreachableFromOutside({
    hosts: ['127.0.0.1'],
    port: 443,
    domain: 'a.example',
    ...options,
  });
  expect(warning?.message).toMatch(message);
  expect(warning?.hint).toContain('--listen :443');
});

it.each([
  ['other addresses', { hosts: ['127.0.0.1', '192.0.2.1'] }],
  ['all addresses', { hosts: [''] }],
  ['a domain for local use', { domain: 'localhost' }],
  ['a proxy that forwards the port', { publicPort: 443 }],
  ['a load balancer', { acceptProxyProtocol: ['127.0.0.1'] }],
])('does not warn of a relay with %s', (_case, options) => {
  const on = { hosts: ['127.0.0.1'], port: 443, domain: 'a.example', ...options };
  expect(unreachableFromOutside(on)).toBeUndefined();
});
