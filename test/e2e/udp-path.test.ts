import { randomBytes } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { eventually } from '../support/eventually.js';
import { PACKET_VERSION } from '../../src/protocol/datagrams/packets.js';
import { middlebox } from '../support/middlebox.js';
import { udpService, udpVisitor } from '../support/udp.js';
import { agent, desired, relay, service } from '../support/world.js';

/** The `udp` carrier with a NAT, or an attacker, on the path. */

async function behindNat(limits = {}) {
  let port = 0;
  const nat = await middlebox(() => port);
  const at = await relay({
    ports: { udp: 'any' },
    datagramPort: nat.port,
    limits: { datagramProbeMs: 100, ...limits },
  });
  port = at.port;
  const echo = await udpService();
  const one = await agent();
  await one.runner.apply(desired([at.spec], service('echo', echo.port, { mode: 'udp' })));
  const lease = await one.event('lease', ({ phase }) => phase === 'ready');
  const visitor = await udpVisitor(Number(lease.udpAddr!.split(':')[1]));
  const carrier = async () => (await one.runner.status()).relays[0]!.datagrams?.carrier;
  return { ...one, nat, at, echo, visitor, carrier };
}

/** A packet with a datagram, not only a probe or the reply to it. */
const isData = (packet: Buffer): boolean => packet.length > 50;
const text = (what: string): string => `a datagram that says ${what}`;
const last = (packets: Buffer[]): Buffer => packets.findLast(isData)!;
const droppedBy = (at: { counts(): { dropped: object } }) => at.counts().dropped as Record<string, number>;

describe('a NAT on the path', () => {
  it('may give the agent another port at any time', async () => {
    const { nat, visitor, echo, at } = await behindNat();
    expect(await visitor.ask('before')).toBe('before');
    for (let i = 0; i < 3; i++) {
      await nat.rebind();
      expect(await visitor.ask(`after ${i}`)).toBe(`after ${i}`);
    }
    // No flow reopened for it.
    expect(echo.peers.size).toBe(1);
    expect(at.counts().sessions).toBe(1);
  });

  it('that blocks UDP makes datagrams use the WebSocket until UDP works again', async () => {
    const { nat, visitor, echo, carrier, events, at } = await behindNat();
    const reported = () => events.flatMap((event) => (event.event === 'notice' ? [event] : []));
    expect(await visitor.ask('one')).toBe('one');
    expect(await carrier()).toBe('udp');
    expect(reported()).toEqual([]);
    nat.block();
    await eventually(async () => expect(await carrier()).toBe('ws'));
    const message = `UDP does not get through to ${at.url}, so datagrams use a WebSocket`;
    expect(reported()).toMatchObject([{ kind: 'carrier_fallback', message, relay: at.url }]);
    expect(await visitor.ask('two')).toBe('two');
    const payload = randomBytes(65_507);
    visitor.send(payload);
    await eventually(async () => expect((await visitor.next()).equals(payload)).toBe(true));
    nat.unblock();
    await eventually(async () => expect(await carrier()).toBe('udp'));
    const packets = nat.fromRelay.length;
    expect(await visitor.ask('three')).toBe('three');
    expect(nat.fromRelay.length).toBeGreaterThan(packets);
    nat.block();
    await eventually(async () => expect(await carrier()).toBe('ws'));
    expect(reported()).toHaveLength(1);
    expect(echo.peers.size).toBe(1);
  });

  it('that blocks UDP from the beginning does not keep the lease from becoming ready', async () => {
    let port = 0;
    const nat = await middlebox(() => port);
    nat.block();
    const at = await relay({
      ports: { udp: 'any' },
      datagramPort: nat.port,
      limits: { datagramProbeMs: 100 },
    });
    port = at.port;
    const echo = await udpService();
    const one = await agent();
    await one.runner.apply(desired([at.spec], service('echo', echo.port, { mode: 'udp' })));
    const { udpAddr } = await one.event('lease', ({ phase }) => phase === 'ready');
    const visitor = await udpVisitor(Number(udpAddr!.split(':')[1]));
    expect(await visitor.ask('hello')).toBe('hello');
    expect(nat.fromRelay).toEqual([]);
    expect((await one.runner.status()).relays[0]!.datagrams).toMatchObject({ carrier: 'ws' });
  });

  it('that loses, duplicates and reorders: every datagram arrives at most once', async () => {
    const { nat, visitor, echo, at, runner } = await behindNat({ datagramProbeMs: 1_000 });
    const held: { agent?: Buffer | undefined; relay?: Buffer | undefined } = {};
    let count = 0;
    nat.fate = (packet, from) => {
      if (!isData(packet)) return [packet];
      count++;
      if (count % 7 === 0) return [];
      if (count % 5 === 0) return [packet, packet];
      if (count % 3 === 0) {
        held[from] = packet;
        return [];
      }
      const late = held[from];
      held[from] = undefined;
      return late ? [packet, late] : [packet];
    };
    const answers = new Set<string>();
    for (let i = 0; i < 20; i++) {
      const answer = await visitor.ask(text(`${i}`));
      answers.add(answer);
    }
    expect(answers.size).toBeGreaterThan(0);
    const dropped = {
      ...at.counts().dropped,
      ...(await runner.status()).relays[0]!.datagrams!.dropped,
    };
    // Duplicates are detected, and no packet is otherwise invalid.
    expect(Object.keys(dropped)).toEqual(['replayed']);
    expect(echo.peers.size).toBe(1);
  });
});

describe('an attacker on the path', () => {
  it('may replay packets: the service sees each datagram once', async () => {
    const { nat, visitor, echo, at } = await behindNat();
    expect(await visitor.ask(text('once'))).toBe(text('once'));
    const before = echo.received;
    const answer = last(nat.fromAgent);
    for (let i = 0; i < 5; i++) await nat.inject(answer);
    await eventually(() => expect(droppedBy(at)['replayed']).toBeGreaterThanOrEqual(5));
    expect(await visitor.ask('twice')).toBe('twice');
    expect(echo.received).toBe(before + 1);
  });

  it('gets no reply to packets replayed from elsewhere, and moves no flow', async () => {
    const { nat, visitor, at } = await behindNat({ datagramProbeMs: 600_000 });
    expect(await visitor.ask('one')).toBe('one');
    for (const packet of nat.fromAgent) await nat.inject(packet, 'stranger');
    await eventually(() => expect(droppedBy(at)['replayed']).toBeGreaterThanOrEqual(nat.fromAgent.length));
    expect(await visitor.ask('two')).toBe('two');
    expect(nat.toStranger).toEqual([]);
  });

  it('gets no reply to forged packets', async () => {
    const { nat, visitor, at } = await behindNat({ datagramProbeMs: 600_000 });
    expect(await visitor.ask(text('one'))).toBe(text('one'));
    const genuine = last(nat.fromAgent);
    const forged = genuine.map((byte, i) => (i === genuine.length - 1 ? byte ^ 1 : byte));
    // An unused number, because a used one would count as a replay.
    Buffer.from(forged.buffer).writeUInt32BE(50_000, forged.byteOffset + 13);
    const another = Buffer.concat([Buffer.from([PACKET_VERSION]), randomBytes(100)]);
    for (const packet of [forged, another, randomBytes(1_200), Buffer.alloc(0), Buffer.alloc(65_507, 0xd1)])
      await nat.inject(Buffer.from(packet), 'stranger');
    await eventually(() => expect(droppedBy(at)).toMatchObject({ forged: 1, malformed: 4 }));
    expect(nat.toStranger).toEqual([]);
    expect(await visitor.ask('two')).toBe('two');
  });

  it('sees neither payloads nor their senders', async () => {
    const { nat, visitor } = await behindNat();
    expect(await visitor.ask('a text that nobody may read')).toBe('a text that nobody may read');
    for (const packet of [...nat.fromAgent, ...nat.fromRelay])
      expect(packet.includes('nobody may read')).toBe(false);
  });
});
