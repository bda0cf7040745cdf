import { describe, expect, it } from 'vitest';
import { CapturedBody, type Recording } from './recording.js';
import { RequestStore } from './store.js';

function recording(store: RequestStore, target = '/'): Recording {
  return {
    id: store.nextId(),
    service: 'app',
    startedAt: 0,
    startedMs: 0,
    method: 'GET',
    target,
    authority: 'app.localhost',
    hostname: 'app.localhost',
    remote: '203.0.113.7',
    version: '1.1',
    requestHeaders: [],
    requestBody: new CapturedBody(),
    requestTrailers: [],
    upgrade: undefined,
    replayOf: undefined,
    outcome: 'open',
    responseHeaders: [],
    responseBody: new CapturedBody(),
    responseTrailers: [],
  };
}

const always = (): boolean => true;
const ids = (store: RequestStore): number[] => [...store.all()].map(({ id }) => id);

describe('the recordings', () => {
  it('are limited in number: the oldest are removed', () => {
    const store = new RequestStore({ maxRequests: 3 });
    for (let i = 0; i < 5; i++) store.add(recording(store));
    expect(ids(store)).toEqual([3, 4, 5]);
    expect(store.oldest).toBe(3);
    expect(store.get(2)).toBeUndefined();
  });

  it('are limited in bytes, including growing bodies', () => {
    const store = new RequestStore({ maxTotalBytes: 10_000 });
    for (let i = 0; i < 4; i++) store.add(recording(store));
    store.changed(4, 7_000);
    expect(ids(store)).toEqual([3, 4]);
    expect(store.bytes).toBeLessThanOrEqual(10_000);
    // Growth of a removed recording removes no other.
    store.changed(1, 50_000);
    expect(ids(store)).toEqual([3, 4]);
  });

  it('count requests that arrive too fast', () => {
    const store = new RequestStore({ requestsPerSecond: 200 });
    const admitted = Array.from({ length: 1_000 }, () => store.admits()).filter(Boolean).length;
    expect(admitted).toBeGreaterThanOrEqual(200);
    expect(admitted).toBeLessThan(1_000);
    expect(store.dropped).toBe(1_000 - admitted);
  });

  it('are removed by a clear, and ids continue', () => {
    const store = new RequestStore();
    store.add(recording(store));
    store.clear();
    expect([store.size, store.bytes, store.oldest]).toEqual([0, 0, 2]);
    store.add(recording(store));
    expect(ids(store)).toEqual([2]);
  });
});

describe('a body', () => {
  it('is stored up to a limit, copied, and counted completely', () => {
    const body = new CapturedBody();
    const chunk = Buffer.from('abcdef');
    expect(body.add(chunk, 8, always)).toBe(6);
    chunk.fill('x');
    expect(body.add(Buffer.from('ghij'), 8, always)).toBe(2);
    expect(body.add(Buffer.from('klm'), 8, always)).toBe(0);
    expect(body).toMatchObject({ bytes: 13, keptBytes: 8, cut: 'long' });
    expect(body.kept().toString()).toBe('abcdefgh');
  });

  it('is truncated under load, and stays truncated', () => {
    const body = new CapturedBody();
    expect(body.add(Buffer.from('abc'), 100, always)).toBe(3);
    expect(body.add(Buffer.from('def'), 100, () => false)).toBe(0);
    expect(body.add(Buffer.from('ghi'), 100, always)).toBe(0);
    expect(body).toMatchObject({ bytes: 9, keptBytes: 3, cut: 'load' });
  });
});
