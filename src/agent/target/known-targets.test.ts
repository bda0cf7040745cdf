import { createServer, type AddressInfo } from 'node:net';
import { expect, it, onTestFinished } from 'vitest';
import { log } from '../../../test/support/log.js';
import { formatTarget, parseTarget } from '../../net/target/target.js';
import { KnownTargets } from './known-targets.js';
import { TargetProtocols } from './target-protocols.js';

it('forgets the protocol of an unhealthy target for all its leases, and of no other target', async () => {
  const ports: number[] = [];
  for (let i = 0; i < 2; i++) {
    const server = createServer((socket) => void socket.end('HTTP/1.1 400 Bad Request\r\n\r\n'));
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    onTestFinished(() => void server.close());
    ports.push((server.address() as AddressInfo).port);
  }
  const [one, other] = ports.map((port) => parseTarget(port)) as [
    ReturnType<typeof parseTarget>,
    ReturnType<typeof parseTarget>,
  ];
  const known = new KnownTargets();
  const leases = [
    new TargetProtocols(() => ({}), log, {}, known),
    new TargetProtocols(() => ({ tls: {} }), log, {}, known),
  ];
  for (const lease of leases)
    for (const target of [one, other]) expect(await lease.detect(target)).toBe('h1');
  known.forget(formatTarget(one));
  for (const lease of leases) {
    expect(lease.speaks(one)).toBeUndefined();
    expect(lease.speaks(other)).toBe('h1');
  }
});
