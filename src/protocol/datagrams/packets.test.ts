import { randomBytes } from 'node:crypto';
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { associationOf, PacketOpener, PACKETS_PER_KEY, PacketSealer, type PacketKeys } from './packets.js';
import { ReplayWindow, WINDOW_PACKETS } from './window.js';

const keys = (over: Partial<PacketKeys> = {}): PacketKeys => ({
  secret: Buffer.alloc(32, 1),
  association: Buffer.from('association'.slice(0, 8)),
  direction: 'agent to relay',
  ...over,
});

const seal = (sealer: PacketSealer, text: string): Buffer => Buffer.concat(sealer.seal(Buffer.from(text)));

describe('packets', () => {
  it('open once, in any order within the window', () => {
    fc.assert(
      fc.property(fc.shuffledSubarray(Array.from({ length: 40 }, (_, i) => i)), (order) => {
        const sealer = new PacketSealer(keys());
        const opener = new PacketOpener(keys());
        const packets = Array.from({ length: 40 }, (_, i) => seal(sealer, `packet ${i}`));
        for (const i of order) expect(opener.open(packets[i]!).toString()).toBe(`packet ${i}`);
        for (const i of order) expect(opener.open(packets[i]!)).toBe('replayed');
      }),
    );
  });

  it('that are missing are counted', () => {
    const sealer = new PacketSealer(keys());
    const opener = new PacketOpener(keys());
    expect(opener.missing).toBe(0);
    const packets = Array.from({ length: 10 }, (_, i) => seal(sealer, `${i}`));
    for (const i of [2, 3, 3, 9]) opener.open(packets[i]!);
    expect(opener.missing).toBe(7);
    opener.open(packets[0]!);
    expect(opener.missing).toBe(6);
  });

  it('reveal their association, and nothing else', () => {
    const packet = seal(new PacketSealer(keys()), 'a secret that must not be seen');
    expect(associationOf(packet)).toBe('associat');
    expect(packet.includes('secret')).toBe(false);
  });

  it('are rejected when any bit differs, without an effect', () => {
    const packet = seal(new PacketSealer(keys()), 'payload');
    const opener = new PacketOpener(keys());
    fc.assert(
      fc.property(fc.nat(packet.length * 8 - 1), (bit) => {
        const forged = Buffer.from(packet);
        forged[bit >> 3]! ^= 1 << (bit & 7);
        expect(['forged', 'malformed', 'old', 'replayed']).toContain(opener.open(forged));
      }),
    );
    expect(opener.open(packet).toString()).toBe('payload');
  });

  it('are rejected when cut anywhere', () => {
    const packet = seal(new PacketSealer(keys()), 'payload');
    const opener = new PacketOpener(keys());
    for (let length = 0; length < packet.length; length++) {
      expect(['forged', 'malformed']).toContain(opener.open(packet.subarray(0, length)));
    }
  });

  it.each([
    ['another secret', keys({ secret: randomBytes(32) })],
    ['the other direction', keys({ direction: 'relay to agent' })],
  ])('are rejected under %s', (_what, other) => {
    expect(new PacketOpener(other).open(seal(new PacketSealer(keys()), 'x'))).toBe('forged');
  });

  it('are rejected in another association', () => {
    const other = keys({ association: Buffer.from('another!') });
    expect(new PacketOpener(other).open(seal(new PacketSealer(keys()), 'x'))).toBe('malformed');
  });

  it('change their key with the epoch, and late ones of the old epoch still open', () => {
    const sealer = new PacketSealer(keys(), PACKETS_PER_KEY - 2);
    const opener = new PacketOpener(keys());
    const packets = Array.from({ length: 4 }, (_, i) => seal(sealer, `${i}`));
    // The first packet is at the sender's first counter, within the epochs that may be ahead.
    for (const i of [0, 3, 1, 2]) expect(opener.open(packets[i]!).toString()).toBe(`${i}`);
    const wrong = Buffer.from(packets[3]!);
    // The same packet with the number of the previous epoch.
    wrong.writeUInt32BE(PACKETS_PER_KEY - 1 - 4096, 13);
    expect(opener.open(wrong)).not.toBeInstanceOf(Buffer);
  });

  it('of an epoch far ahead are rejected before a key is derived', () => {
    const opener = new PacketOpener(keys());
    expect(opener.open(seal(new PacketSealer(keys(), PACKETS_PER_KEY * 50), 'x'))).toBe('forged');
  });

  it('report whether they are the newest: only the newest may change the address of the peer', () => {
    const sealer = new PacketSealer(keys());
    const opener = new PacketOpener(keys());
    const [first, second] = [seal(sealer, '1'), seal(sealer, '2')];
    opener.open(second);
    expect(opener.newest).toBe(true);
    opener.open(first);
    expect(opener.newest).toBe(false);
  });
});

describe('the replay window', () => {
  it('agrees with a set that forgets nothing', () => {
    fc.assert(
      fc.property(fc.array(fc.nat(3 * WINDOW_PACKETS), { maxLength: 300 }), (counters) => {
        const window = new ReplayWindow();
        const seen = new Set<number>();
        let newest = -1;
        for (const counter of counters) {
          const expected =
            counter <= newest - WINDOW_PACKETS ? 'old' : seen.has(counter) ? 'replayed' : 'new';
          expect(window.check(counter)).toBe(expected);
          if (expected !== 'new') continue;
          window.accept(counter);
          seen.add(counter);
          newest = Math.max(newest, counter);
        }
      }),
    );
  });

  it('slides by more than its own size', () => {
    const window = new ReplayWindow();
    for (let i = 0; i < WINDOW_PACKETS; i++) window.accept(i);
    window.accept(2 ** 40);
    expect(window.check(2 ** 40 - WINDOW_PACKETS + 1)).toBe('new');
    expect(window.check(2 ** 40 - WINDOW_PACKETS)).toBe('old');
    expect(window.check(2 ** 40)).toBe('replayed');
  });
});
