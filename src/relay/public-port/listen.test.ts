import { createServer, type AddressInfo } from 'node:net';
import { expect, onTestFinished, test } from 'vitest';
import { hasIpv6, NO_IPV6 } from '../../../test/support/ipv6.js';
import { formatAddress } from '../../net/listen/listen-error.js';
import { listen, listenHosts } from './listen.js';

test.each([
  [['127.0.0.1'], ['127.0.0.1']],
  [['localhost'], ['127.0.0.1', '::1']],
  [
    ['::1', 'localhost'],
    ['::1', '127.0.0.1'],
  ],
  [['0:0:0:0:0:0:0:1', '::1'], ['::1']],
  [['::', '127.0.0.1', '::1'], ['::']],
  [
    ['0.0.0.0', '127.0.0.1', '::1'],
    ['0.0.0.0', '::1'],
  ],
  [
    ['0.0.0.0', '::'],
    ['0.0.0.0', '::'],
  ],
  [['', '0.0.0.0', '::1'], ['::']],
])('%j listens at %j', (hosts, expected) => {
  expect(listenHosts(hosts).map(({ host }) => host)).toEqual(expected);
});

test('[::] covers IPv4 too, unless IPv4 has its own address', () => {
  expect(listenHosts(['::'])).toEqual([{ host: '::' }]);
  expect(listenHosts(['::', '0.0.0.0'])).toEqual([{ host: '0.0.0.0' }, { host: '::', ipv6Only: true }]);
});

test('listens at the other address if a family is missing', async () => {
  // An address that no machine has (RFC 5737), like a loopback address that this one lacks.
  const hosts = [{ host: '192.0.2.1', orElse: 'nothing' as const }, { host: '127.0.0.1' }];
  const { servers, hosts: found } = await listen(() => createServer(), { hosts, port: 0 });
  for (const server of servers) server.close();
  expect(found).toEqual([{ host: '127.0.0.1' }]);
});

test('a port in use at one address is in use', async (context) => {
  context.skip(!hasIpv6, NO_IPV6);
  const other = createServer();
  await new Promise<void>((resolve) => other.listen(0, '::1', resolve));
  onTestFinished(() => void other.close());
  const { port } = other.address() as AddressInfo;
  const listening = listen(() => createServer(), { hosts: listenHosts(['localhost']), port });
  await expect(listening).rejects.toMatchObject({
    code: 'address_in_use',
    message: `${formatAddress({ host: '::1', port })} is in use`,
  });
});
