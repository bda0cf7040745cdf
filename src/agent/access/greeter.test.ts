import { once } from 'node:events';
import { connect as connectTcp, type AddressInfo } from 'node:net';
import { connect, createServer, type TLSSocket } from 'node:tls';
import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { caFolder } from '../../../test/support/ca-pool.js';
import { openLocalCa } from '../../certificates/local-ca.js';
import { generateIdentity } from '../../identity/keys.js';
import { readLine } from '../../net/read-line.js';
import { channelOf } from '../../protocol/channel.js';
import { provenAgent, visitorLine, type Denial } from '../../protocol/connect.js';
import { LIMITS } from '../../protocol/limits.js';
import { Greeter, type GreeterOptions } from './greeter.js';

const OWNER = generateIdentity();
const FRIEND = generateIdentity();
const HOST = 'db.localhost';
const ARRIVAL = { address: '203.0.113.7', hostname: HOST };
const NEVER = new AbortController().signal;

/** Opens TLS sessions, and returns both ends. */
async function sessions(): Promise<() => Promise<{ agent: TLSSocket; visitor: TLSSocket }>> {
  const server = createServer(await (await openLocalCa(await caFolder())).issue([HOST]));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => void server.close());
  const { port } = server.address() as AddressInfo;
  return async () => {
    const plain = connectTcp(port, '127.0.0.1');
    await once(plain, 'connect');
    const visitor = connect({ socket: plain, servername: HOST, rejectUnauthorized: false });
    const [agent] = (await once(server, 'secureConnection')) as [TLSSocket];
    for (const socket of [agent, visitor]) socket.on('error', () => undefined);
    onTestFinished(() => {
      agent.destroy();
      visitor.destroy();
    });
    if (!visitor.authorizationError && !visitor.getProtocol()) await once(visitor, 'secureConnect');
    return { agent, visitor };
  };
}

const session = async () => (await sessions())();

function greeter(over: Partial<GreeterOptions> = {}) {
  const denied: [Denial, string][] = [];
  const one = new Greeter({
    identity: OWNER,
    denies: ({ identity }) => (identity === FRIEND.address ? undefined : 'identity'),
    onDenied: (denial, address) => denied.push([denial, address]),
    ...over,
  });
  return { one, denied };
}

async function proofOn(visitor: TLSSocket, identity = FRIEND): Promise<string> {
  const at = { hostname: HOST, channel: channelOf(visitor)! };
  const agent = provenAgent(await readLine(visitor, 256), at);
  return `${visitorLine(identity, 'connect', { ...at, agent })}\n`;
}

describe('the handshake of a visitor', () => {
  it('proves both identities', async () => {
    const { agent, visitor } = await session();
    const { one, denied } = greeter();
    const greeted = one.greet(agent, ARRIVAL, NEVER);
    visitor.write(await proofOn(visitor));
    expect(await greeted).toEqual({ address: ARRIVAL.address, identity: FRIEND.address });
    expect(denied).toEqual([]);
    expect(agent.destroyed).toBe(false);
  });

  it('times out however slowly a visitor sends', async () => {
    const { agent, visitor } = await session();
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
    onTestFinished(() => void vi.useRealTimers());
    const { one } = greeter();
    const greeted = one.greet(agent, ARRIVAL, NEVER);
    const proof = await proofOn(visitor);
    for (const byte of proof.slice(0, 5)) {
      const arrived = once(agent, 'readable');
      visitor.write(byte);
      await arrived;
      vi.advanceTimersByTime(LIMITS.connectMs / 10);
    }
    expect(agent.destroyed).toBe(false);
    // A machine that stalls extends the deadline.
    for (let i = 0; i < 10 && !agent.destroyed; i++) {
      vi.advanceTimersByTime(LIMITS.connectMs);
      await new Promise(setImmediate);
    }
    expect(await greeted).toBeUndefined();
    expect(agent.destroyed).toBe(true);
  });

  it('ends when the service closes', async () => {
    const { agent } = await session();
    const { one } = greeter();
    const closing = new AbortController();
    const greeted = one.greet(agent, ARRIVAL, closing.signal);
    closing.abort();
    expect(await greeted).toBeUndefined();
    expect(agent.destroyed).toBe(true);
  });

  it('ends when the visitor disconnects', async () => {
    const { agent, visitor } = await session();
    const { one } = greeter();
    const greeted = one.greet(agent, ARRIVAL, NEVER);
    await readLine(visitor, 256);
    visitor.destroy();
    expect(await greeted).toBeUndefined();
    expect(agent.destroyed).toBe(true);
  });

  it('checks no signature of an identity that may not connect', async () => {
    const { agent, visitor } = await session();
    const { one, denied } = greeter();
    const greeted = one.greet(agent, ARRIVAL, NEVER);
    await readLine(visitor, 256);
    visitor.write(`connect ${generateIdentity().address} 0x${'00'.repeat(65)}\n`);
    expect(await readLine(visitor, 256)).toBe('denied identity');
    expect(await greeted).toBeUndefined();
    expect(denied).toEqual([['identity', ARRIVAL.address]]);
  });

  it('signs nothing for an address that may not connect, and nothing after many failures of a network', async () => {
    // Time stands still.
    vi.useFakeTimers({ toFake: ['performance'] });
    onTestFinished(() => void vi.useRealTimers());
    const sign = vi.fn<() => string>(() => 'signed');
    const signed = greeter({ identity: { ...OWNER, address: OWNER.address, sign }, denies: () => 'address' });
    for (let i = 0; i < 20; i++) {
      const { agent, visitor } = await session();
      void signed.one.greet(agent, ARRIVAL, NEVER);
      expect(await readLine(visitor, 256)).toBe('denied address');
    }
    const { agent, visitor } = await session();
    void signed.one.greet(agent, ARRIVAL, NEVER);
    expect(await readLine(visitor, 256)).toBe('denied busy');
    expect(sign).not.toHaveBeenCalled();
    // Not counted: no gate has rejected it.
    expect(signed.denied).toHaveLength(20);
    const other = await session();
    void signed.one.greet(other.agent, { ...ARRIVAL, address: '198.51.100.9' }, NEVER);
    expect(await readLine(other.visitor, 256)).toBe('denied address');
  });

  it.each([
    ['a range of networks', (i: number) => `203.0.113.${i}`, 0],
    ['a range of IPv6 networks', (i: number) => `2001:db8:7:${i.toString(16)}::1`, 0],
    [
      'networks of many ranges, once they are slow',
      (i: number) => `10.${i}.0.1`,
      LIMITS.handshakeShareMs + 1,
    ],
  ])('is not blocked by the handshakes of %s', async (_what, addressOf, afterMs) => {
    vi.useFakeTimers({ toFake: ['performance'] });
    onTestFinished(() => void vi.useRealTimers());
    const max = 8;
    const { one } = greeter({ max });
    const open = await sessions();
    for (let i = 0; i < max; i++) {
      const { agent } = await open();
      void one.greet(agent, { ...ARRIVAL, address: addressOf(i) }, NEVER);
    }
    vi.advanceTimersByTime(afterMs);
    const { agent, visitor } = await open();
    const address = '198.51.100.9';
    const greeted = one.greet(agent, { ...ARRIVAL, address }, NEVER);
    visitor.write(await proofOn(visitor));
    expect(await greeted).toEqual({ address, identity: FRIEND.address });
  });
});
