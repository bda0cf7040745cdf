import { randomBytes } from 'node:crypto';
import { constants, createDeflateRaw, deflateRawSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { FrameReader, MessageLog, messagesOf } from './messages.js';

const BOUNDS = { maxMessages: 10, maxMessageBytes: 1_000, maxInflatedBytes: 20_000 };

/** A frame as in RFC 6455, section 5.2. */
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

/** Compresses each text as a sender that keeps its context does (RFC 7692, section 7.2.1). */
async function deflated(texts: readonly string[]): Promise<Buffer[]> {
  const deflate = createDeflateRaw();
  const messages: Buffer[] = [];
  for (const text of texts) {
    deflate.write(text);
    await new Promise<void>((resolve) => deflate.flush(constants.Z_SYNC_FLUSH, resolve));
    messages.push((deflate.read() as Buffer).subarray(0, -4));
  }
  deflate.destroy();
  return messages;
}

function read(
  bytes: Buffer,
  chunkBytes: number,
  limits = BOUNDS,
  admits: (bytes: number) => boolean = () => true,
) {
  let kept = 0;
  const log = new MessageLog(limits, admits, (more) => (kept += more));
  const reader = new FrameReader('visitor', log);
  for (let at = 0; at < bytes.length; at += chunkBytes) reader.read(bytes.subarray(at, at + chunkBytes));
  const messages = messagesOf(log).map(({ from, kind, bytes: all, keptBytes, cut, compressed, body }) => ({
    from,
    kind,
    bytes: all,
    keptBytes,
    ...(cut && { cut }),
    ...(compressed && { compressed }),
    text: Buffer.from(body, 'base64').toString(),
  }));
  return { messages, log, kept };
}

describe('WebSocket messages are read from the wire', () => {
  const long = 'x'.repeat(300);
  const bytes = Buffer.concat([
    frame(1, 'hello', { masked: true }),
    frame(2, long, { masked: true }),
    frame(1, 'be', { final: false, masked: true }),
    frame(9, 'ping'),
    frame(0, 'gin', { final: false, masked: true }),
    frame(0, '', { masked: true }),
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
      { from, kind: 'text', bytes: 0, keptBytes: 0, text: '' },
      { from, kind: 'close', bytes: 0, keptBytes: 0, text: '' },
    ]);
    expect(kept).toBe(5 + 300 + 5 + 4);
  });

  it('keeps the start of a long message, and finds the next one', () => {
    const { messages } = read(Buffer.concat([frame(2, Buffer.alloc(70_000, 'a')), frame(1, 'next')]), 1_024);
    expect(messages.map(({ bytes: all, keptBytes }) => [all, keptBytes])).toEqual([
      [70_000, 1_000],
      [4, 4],
    ]);
  });

  it('keeps the latest messages, and frees the memory of the others', () => {
    const many = Buffer.concat(Array.from({ length: 25 }, (_, i) => frame(1, `message ${i}`)));
    const { messages, log, kept } = read(many, 1_000);
    expect(messages.at(-1)!.text).toBe('message 24');
    expect(messages.length).toBeLessThanOrEqual(10);
    expect(messages.length + log.dropped).toBe(25);
    expect(kept).toBe(messages.reduce((sum, { keptBytes }) => sum + keptBytes, 0));
  });

  it.each([
    ['an unknown opcode', Buffer.from([0x83, 0x01, 0x41])],
    ['a continuation without a message', Buffer.from([0x80, 0x01, 0x41])],
    ['a length that is too large', Buffer.from([0x82, 0x7f, 255, 255, 255, 255, 255, 255, 255, 255, 1, 2])],
  ])('stops at %s', (_what, broken) => {
    const { messages } = read(Buffer.concat([frame(1, 'good'), broken, frame(1, 'lost')]), 4);
    expect(messages.map(({ text }) => text)).not.toContain('lost');
    expect(messages[0]!.text).toBe('good');
  });
});

describe('permessage-deflate is inflated', () => {
  const texts = Array.from({ length: 30 }, (_, i) => `the same words each time, and the number ${i}`);

  it.each([1, 7, 100_000])(
    'for messages that refer to earlier ones, in chunks of %i bytes',
    async (chunkBytes) => {
      const sent = await deflated(texts);
      const bytes = Buffer.concat([
        ...sent.slice(0, 4).map((message) => frame(1, message, { rsv1: true, masked: true })),
        frame(9, 'ping'),
        frame(1, sent[4]!.subarray(0, 3), { rsv1: true, final: false }),
        frame(0, sent[4]!.subarray(3)),
        frame(1, 'as it is'),
      ]);
      const { messages } = read(bytes, chunkBytes);
      expect(messages.map(({ text }) => text)).toEqual([...texts.slice(0, 4), 'ping', texts[4], 'as it is']);
      expect(messages[1]).toMatchObject({
        compressed: 'inflated',
        bytes: sent[1]!.length,
        keptBytes: texts[1]!.length,
      });
      expect(messages.at(-1)!.compressed).toBeUndefined();
    },
  );

  it('continues after the first messages were removed', async () => {
    const sent = await deflated(texts);
    const { messages, log, kept } = read(
      Buffer.concat(sent.map((each) => frame(1, each, { rsv1: true }))),
      50,
    );
    expect(log.dropped).toBeGreaterThan(0);
    expect(messages.map(({ text }) => text)).toEqual(texts.slice(log.dropped));
    expect(kept).toBe(messages.reduce((sum, { keptBytes }) => sum + keptBytes, 0));
  });

  it('shows the start of a message that is too long, and no wrong text of messages that refer to it', async () => {
    const noise = randomBytes(3_000).toString('base64');
    const sent = await deflated([noise, noise, 'x'.repeat(500), `${'x'.repeat(400)}y`]);
    const { messages } = read(Buffer.concat(sent.map((each) => frame(1, each, { rsv1: true }))), 4_096);
    const [long, again, x, y] = messages;
    expect(long).toMatchObject({ compressed: 'inflated', cut: true, keptBytes: 1_000 });
    expect(noise.startsWith(long!.text)).toBe(true);
    expect(again).toMatchObject({ compressed: 'compressed' });
    for (const [message, text] of [
      [x, 'x'.repeat(500)],
      [y, `${'x'.repeat(400)}y`],
    ] as const)
      expect(message!.compressed === 'compressed' || message!.text === text).toBe(true);
  });

  it('stops at messages that become too large or are not deflate', async () => {
    const bomb = deflateRawSync(Buffer.alloc(1_000_000), { finishFlush: constants.Z_SYNC_FLUSH }).subarray(
      0,
      -4,
    );
    const frames = [bomb, Buffer.from('no deflate')].map((each) => frame(1, each, { rsv1: true }));
    const limits = { ...BOUNDS, maxMessageBytes: 5_000 };
    expect(read(Buffer.concat(frames), 4_096, limits).messages).toMatchObject([
      { compressed: 'compressed', bytes: bomb.length },
      { compressed: 'compressed', text: 'no deflate' },
    ]);
    // The first message costs work without a result. After that, nothing is inflated.
    const [small] = await deflated(['good']);
    const asked: number[] = [];
    const admits = (bytes: number): boolean => asked.push(bytes) < 3;
    const after = read(Buffer.concat([frames[0]!, frame(1, small!, { rsv1: true })]), 4_096, limits, admits);
    expect(after.messages).toMatchObject([{ compressed: 'compressed' }, { compressed: 'compressed' }]);
    expect(asked).toEqual([bomb.length, small!.length, limits.maxInflatedBytes]);
  });

  it('keeps an incomplete message while newer messages arrive', () => {
    const many = Array.from({ length: 25 }, (_, i) => frame(9, `${i}`));
    const bytes = Buffer.concat([frame(1, 'to be ', { final: false }), ...many, frame(0, 'continued')]);
    const { messages, log, kept } = read(bytes, 1_000);
    expect(messages[0]).toMatchObject({ text: 'to be continued' });
    expect(messages.length + log.dropped).toBe(26);
    expect(kept).toBe(messages.reduce((sum, { keptBytes }) => sum + keptBytes, 0));
  });
});
