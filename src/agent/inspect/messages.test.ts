import { randomBytes } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { FrameReader, MessageLog, messagesOf } from './messages.js';

const BOUNDS = { maxMessages: 10, maxMessageBytes: 1_000 };

/** A frame as RFC 6455, section 5.2, draws it. */
function frame(
  opcode: number,
  payload: Buffer | string,
  { final = true, masked = false, rsv1 = false } = {},
): Buffer {
  const body = Buffer.from(payload);
  const length = body.length < 126 ? [body.length] : body.length < 65_536 ? [126] : [127];
  const extended = Buffer.alloc(length[0] === 126 ? 2 : length[0] === 127 ? 8 : 0);
  if (extended.length === 2) extended.writeUInt16BE(body.length);
  if (extended.length === 8) extended.writeBigUInt64BE(BigInt(body.length));
  const mask = masked ? randomBytes(4) : Buffer.alloc(0);
  const sent = masked ? body.map((byte, i) => byte ^ mask[i & 3]!) : body;
  const first = (final ? 0x80 : 0) | (rsv1 ? 0x40 : 0) | opcode;
  return Buffer.concat([Buffer.from([first, length[0]! | (masked ? 0x80 : 0)]), extended, mask, sent]);
}

function read(bytes: Buffer, chunkBytes: number, bounds = BOUNDS) {
  let kept = 0;
  const log = new MessageLog(
    bounds,
    () => true,
    (more) => (kept += more),
  );
  const reader = new FrameReader('visitor', log);
  for (let at = 0; at < bytes.length; at += chunkBytes) reader.read(bytes.subarray(at, at + chunkBytes));
  const messages = messagesOf(log).map(({ from, kind, bytes: all, keptBytes, compressed, body }) => ({
    from,
    kind,
    bytes: all,
    keptBytes,
    ...(compressed && { compressed }),
    text: Buffer.from(body, 'base64').toString(),
  }));
  return { messages, log, kept };
}

describe('WebSocket messages are read off the wire', () => {
  const long = 'x'.repeat(300);
  const bytes = Buffer.concat([
    frame(1, 'hello', { masked: true }),
    frame(2, long, { masked: true }),
    frame(1, 'be', { final: false, masked: true }),
    frame(9, 'ping'),
    frame(0, 'gin', { final: false, masked: true }),
    frame(0, '', { masked: true }),
    frame(1, 'squeezed', { rsv1: true }),
    frame(1, ''),
    frame(8, ''),
  ]);

  it.each([1, 2, 3, 7, 64, 100_000])('in chunks of %i bytes', (chunkBytes) => {
    const { messages, kept } = read(bytes, chunkBytes);
    const from = 'visitor';
    expect(messages).toEqual([
      { from, kind: 'text', bytes: 5, keptBytes: 5, text: 'hello' },
      { from, kind: 'binary', bytes: 300, keptBytes: 300, text: long },
      { from, kind: 'text', bytes: 5, keptBytes: 5, text: 'begin' },
      { from, kind: 'ping', bytes: 4, keptBytes: 4, text: 'ping' },
      { from, kind: 'text', bytes: 8, keptBytes: 8, compressed: true, text: 'squeezed' },
      { from, kind: 'text', bytes: 0, keptBytes: 0, text: '' },
      { from, kind: 'close', bytes: 0, keptBytes: 0, text: '' },
    ]);
    expect(kept).toBe(5 + 300 + 5 + 4 + 8);
  });

  it('keeps the beginning of a long one, and finds the next', () => {
    const { messages } = read(Buffer.concat([frame(2, Buffer.alloc(70_000, 'a')), frame(1, 'next')]), 1_024);
    expect(messages.map(({ bytes: all, keptBytes }) => [all, keptBytes])).toEqual([
      [70_000, 1_000],
      [4, 4],
    ]);
  });

  it('keeps the latest of many, and gives back what the others took', () => {
    const many = Buffer.concat(Array.from({ length: 25 }, (_, i) => frame(1, `message ${i}`)));
    const { messages, log, kept } = read(many, 1_000);
    expect(messages.at(-1)!.text).toBe('message 24');
    expect(messages.length).toBeLessThanOrEqual(10);
    expect(messages.length + log.dropped).toBe(25);
    expect(kept).toBe(messages.reduce((sum, { keptBytes }) => sum + keptBytes, 0));
  });

  it.each([
    ['an opcode that there is not', Buffer.from([0x83, 0x01, 0x41])],
    ['a continuation of nothing', Buffer.from([0x80, 0x01, 0x41])],
    ['a length beyond all numbers', Buffer.from([0x82, 0x7f, 255, 255, 255, 255, 255, 255, 255, 255, 1, 2])],
  ])('stops at %s', (_what, broken) => {
    const { messages } = read(Buffer.concat([frame(1, 'good'), broken, frame(1, 'lost')]), 4);
    expect(messages.map(({ text }) => text)).not.toContain('lost');
    expect(messages[0]!.text).toBe('good');
  });
});
