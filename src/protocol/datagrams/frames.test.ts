import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { LIMITS } from '../limits.js';
import { encodeOpening, readFrames, type FrameSink } from './frames.js';
import { readVarint, varintBytes, varintEnd, writeVarint } from './varint.js';
import { FrameWriter } from './writer.js';

/** Records every call, with payloads as text. */
function recorder(): FrameSink & { readonly calls: unknown[][] } {
  const calls: unknown[][] = [];
  const note =
    (name: string) =>
    (...args: unknown[]): void =>
      void calls.push([name, ...args.map((arg) => (Buffer.isBuffer(arg) ? arg.toString('hex') : arg))]);
  return {
    calls,
    probe: note('probe'),
    probeReply: note('probeReply'),
    open: note('open'),
    opened: note('opened'),
    close: note('close'),
    data: note('data'),
    fragment: note('fragment'),
  };
}

/** A writer whose packets the test collects. */
function writer(maxBytes: number): { writer: FrameWriter; packets: Buffer[]; lost: () => number } {
  const packets: Buffer[] = [];
  let lost = 0;
  const path = { maxBytes, send: (frames: Buffer) => packets.push(Buffer.from(frames)) > 0 };
  return {
    writer: new FrameWriter(
      path,
      (count) => (lost += count),
      () => undefined,
    ),
    packets,
    lost: () => lost,
  };
}

const LEASE = '6f0c1d1e-3f0a-4b52-8b0f-0123456789ab';

const read = (hex: string): number => readVarint(Buffer.from(hex, 'hex'), 0);

describe('varints', () => {
  it('are read as they were written, in the announced number of bytes', () => {
    fc.assert(
      fc.property(fc.maxSafeNat(), fc.nat(5), (value, at) => {
        const bytes = Buffer.alloc(16);
        const end = writeVarint(bytes, at, value);
        expect(end - at).toBe(varintBytes(value));
        expect(readVarint(bytes, at)).toBe(value);
        expect(varintEnd()).toBe(end);
        expect(readVarint(bytes.subarray(0, end - 1), at)).toBe(-1);
      }),
    );
  });

  it('are encoded as in RFC 9000 (appendix A.1)', () => {
    expect(read('9d7f3e7d')).toBe(494_878_333);
    expect(read('7bbd')).toBe(15_293);
    expect(read('4025')).toBe(37);
    expect(read('c2197c5eff14e88c')).toBe(-1); // 151,288,809,941,952,652, which a number cannot represent exactly
  });
});

describe('frames', () => {
  it('arrive as they were written, in any number of packets', () => {
    const frame = fc.record({
      kind: fc.constantFrom('data', 'opened', 'close', 'probe', 'probeReply'),
      flow: fc.maxSafeNat(),
      bytes: fc.uint8Array({ maxLength: 300 }),
      use: fc.boolean(),
    });
    fc.assert(
      fc.property(fc.array(frame), fc.integer({ min: 400, max: 1200 }), (frames, max) => {
        const out = writer(max);
        const expected: unknown[][] = [];
        for (const { kind, flow, bytes, use } of frames) {
          if (kind === 'data') {
            out.writer.data(flow, bytes);
            expected.push(['data', flow, Buffer.from(bytes).toString('hex')]);
          } else if (kind === 'probe') {
            out.writer.probe(flow, use);
            expected.push(['probe', flow, use]);
          } else {
            out.writer[kind](flow);
            expected.push([kind, flow]);
          }
        }
        out.writer.flush();
        const sink = recorder();
        for (const packet of out.packets) {
          expect(packet.length).toBeLessThanOrEqual(max);
          expect(readFrames(packet, sink)).toBe(true);
        }
        expect(sink.calls).toEqual(expected);
      }),
    );
  });

  it.each([
    ['192.0.2.7', 53],
    ['::1', 65535],
    ['2001:db8::ff00:42:8329', 1],
    ['1:0:0:2::3', 9],
    ['::', 0],
    ['fe80:1:2:3:4:5:6:7', 7],
  ])('a flow of %s opens in the packet of its first datagram', (address, port) => {
    const out = writer(1167);
    out.writer.data(5, Buffer.from('hi'), encodeOpening(LEASE, { address, port }));
    out.writer.flush();
    const sink = recorder();
    expect(readFrames(out.packets[0]!, sink)).toBe(true);
    expect(sink.calls).toEqual([
      ['open', 5, LEASE, { address, port }],
      ['data', 5, '6869'],
    ]);
  });

  it('the smallest packets carry the largest datagram, with its opening in every fragment', () => {
    const out = writer(LIMITS.maxPacketBytes - 33);
    const payload = Buffer.alloc(LIMITS.maxDatagramBytes, 7);
    out.writer.data(1, payload, encodeOpening(LEASE, { address: '::1', port: 1 }));
    out.writer.flush();
    expect(out.lost()).toBe(0);
    const sink = recorder();
    for (const packet of out.packets) expect(readFrames(packet, sink)).toBe(true);
    const pieces = sink.calls.filter(([name]) => name === 'fragment');
    expect(pieces.map(([, , , index]) => index)).toEqual(pieces.map((_, i) => i));
    expect(pieces.map((piece) => piece.at(-1)).join('')).toBe(payload.toString('hex'));
    expect(sink.calls.filter(([name]) => name === 'open')).toHaveLength(pieces.length);
  });

  it('counts datagrams that the path rejected', () => {
    let lost = 0;
    const out = new FrameWriter(
      { maxBytes: 1000, send: () => false },
      (count) => (lost += count),
      () => undefined,
    );
    for (let i = 0; i < 3; i++) out.data(i, Buffer.alloc(10));
    out.opened(4);
    out.flush();
    expect(lost).toBe(3);
  });

  it('reads any bytes without a throw, and never beyond their end', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
        const sink = recorder();
        const first = readFrames(Buffer.from(bytes), sink);
        const padded = recorder();
        // The added bytes are filling, and must only complete what was cut off.
        const again = readFrames(Buffer.concat([bytes, Buffer.alloc(1)]), padded);
        expect(again || !first).toBe(true);
        expect(padded.calls.slice(0, sink.calls.length)).toEqual(sink.calls);
      }),
    );
  });
});
