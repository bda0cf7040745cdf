import { brotliCompressSync, deflateRawSync, deflateSync, gzipSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { decode } from './decode.js';

const text = Buffer.from('Rindfleischetikettierung '.repeat(400));
const MAX_BYTES = 64 * 1024;

describe('content codings', () => {
  it.each([
    ['gzip', gzipSync(text)],
    ['X-GZIP', gzipSync(text)],
    ['deflate', deflateSync(text)],
    ['deflate', deflateRawSync(text)],
    ['br', brotliCompressSync(text)],
    ['gzip, br', brotliCompressSync(gzipSync(text))],
    [undefined, text],
    ['identity', text],
  ])('%s', async (encoding, body) => {
    const decoded = await decode(body, encoding, MAX_BYTES);
    expect(decoded?.bytes.equals(text)).toBe(true);
    expect(decoded?.isPart).toBe(false);
  });

  it.each([
    ['gzip', gzipSync(text)],
    ['br', brotliCompressSync(text)],
  ])('%s that was truncated decodes as far as possible', async (encoding, body) => {
    const decoded = await decode(body.subarray(0, body.length - 10), encoding, MAX_BYTES);
    expect(text.subarray(0, decoded!.bytes.length).equals(decoded!.bytes)).toBe(true);
  });

  it.each([
    ['gzip', gzipSync(Buffer.alloc(64 * 1024 * 1024))],
    ['br', brotliCompressSync(Buffer.alloc(64 * 1024 * 1024))],
    ['gzip, gzip', gzipSync(gzipSync(Buffer.alloc(64 * 1024 * 1024)))],
  ])('%s: stops at a decompression bomb', async (encoding, bomb) => {
    expect(bomb.length).toBeLessThan(256 * 1024);
    const decoded = await decode(bomb, encoding, MAX_BYTES);
    expect(decoded).toMatchObject({ isPart: true });
    expect(decoded!.bytes.length).toBe(MAX_BYTES);
  });

  it('reports a body that does not match its coding', async () => {
    expect(await decode(Buffer.from('plain'), 'gzip', MAX_BYTES)).toMatchObject({ isPart: true });
    expect(await decode(text, 'compress', MAX_BYTES)).toBeUndefined();
    expect(await decode(text, 'gzip, gzip, gzip, gzip', MAX_BYTES)).toBeUndefined();
  });
});
