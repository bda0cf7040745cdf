import { randomBytes } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { FrameReader, frameHeader, type FrameType } from './frames.js';

const frame = (type: FrameType, payload: Buffer | string = ''): Buffer =>
  Buffer.concat([frameHeader(type, payload.length), Buffer.from(payload)]);

/** The frames in chunks, with the parts of each run of data joined; `malformed` at the end if they are. */
function framesOf(...chunks: Buffer[]): string[] {
  const reader = new FrameReader();
  const found: string[] = [];
  let isData = false;
  for (const chunk of chunks) {
    const isFine = reader.read(chunk, (type, payload) => {
      if (type === 'data' && isData) found[found.length - 1] += payload.toString('latin1');
      else found.push(`${type} ${payload.toString('latin1')}`.trim());
      isData = type === 'data';
      return true;
    });
    if (!isFine) return [...found, 'malformed'];
  }
  return found;
}

const VISIT = Buffer.concat([
  frame('start'),
  frame('data', 'hello'),
  frame('end'),
  frame('ticket', 'name.proof'),
  frame('data', 'x'),
  frame('raw'),
  Buffer.from('unframed\x04\0\0\0'),
]);
const FRAMES = [
  'start',
  'data hello',
  'end',
  'ticket name.proof',
  'data x',
  'raw',
  'data unframed\x04\0\0\0',
];

describe('frames', () => {
  it('have a header of four bytes', () => {
    expect(frame('start').toString('hex')).toBe('01000000');
    expect(frame('ticket', 'a.b').toString('hex')).toBe('02000003612e62');
    expect(frameHeader('data', 0x012345).toString('hex')).toBe('03012345');
    expect(frame('end').toString('hex')).toBe('04000000');
    expect(frame('raw').toString('hex')).toBe('05000000');
    expect(frame('startRaw').toString('hex')).toBe('06000000');
  });

  it('are read from one chunk, byte by byte, and in halves', () => {
    expect(framesOf(VISIT)).toEqual(FRAMES);
    expect(framesOf(...Array.from(VISIT, (byte) => Buffer.of(byte)))).toEqual(FRAMES);
    for (let at = 0; at <= VISIT.length; at++)
      expect(framesOf(VISIT.subarray(0, at), VISIT.subarray(at))).toEqual(FRAMES);
  });

  it('end with the start of an unframed visit', () => {
    const bytes = Buffer.concat([frame('startRaw'), Buffer.from('\x04\0\0\0hello')]);
    expect(framesOf(bytes)).toEqual(['startRaw', 'data \x04\0\0\0hello']);
    expect(framesOf(...Array.from(bytes, (byte) => Buffer.of(byte)))).toEqual([
      'startRaw',
      'data \x04\0\0\0hello',
    ]);
  });

  it('pass long payloads in parts, unchanged', () => {
    const payload = randomBytes(1_000_000);
    const bytes = frame('data', payload);
    const reader = new FrameReader();
    const parts: Buffer[] = [];
    for (let at = 0; at < bytes.length; at += 65_537)
      reader.read(bytes.subarray(at, at + 65_537), (_type, part) => parts.push(part) > 0);
    expect(parts.length).toBeGreaterThan(10);
    expect(Buffer.concat(parts).equals(payload)).toBe(true);
  });

  it('stop at the frame whose handler returns false', () => {
    const types: string[] = [];
    expect(new FrameReader().read(VISIT, (type) => types.push(type) < 2)).toBe(true);
    expect(types).toEqual(['start', 'data']);
  });

  it.each([
    ['of an unknown type', '00000000'],
    ['of another unknown type', '07000000'],
    ['start with a payload', '0100000161'],
    ['end with a payload', '0400000161'],
    ['raw with a payload', '0500000161'],
    ['data without a payload', '03000000'],
    ['a ticket without a payload', '02000000'],
    ['a ticket of more than 128 bytes', '02000081'],
  ])('are malformed: %s', (_what, hex) => {
    expect(framesOf(Buffer.from(hex, 'hex'))).toEqual(['malformed']);
    expect(framesOf(frame('data', 'x'), Buffer.from(hex, 'hex'))).toEqual(['data x', 'malformed']);
  });
});
