import { beforeEach, afterEach, expect, it, vi } from 'vitest';
import { PortalError } from '../../lib/errors.js';
import { deferred, type Deferred } from '../../lib/wait.js';
import { log } from '../../../test/support/log.js';
import type { Outcome } from './handlers.js';
import type { HeldEvent } from './held-events.js';
import { HeldRequests, type HeldOptions } from './held-requests.js';
import type { HeldRequest, HeldStore } from './store.js';

/** The queue, on a disk in memory and with a clock of the test. */

beforeEach(() => void vi.useFakeTimers({ now: 1_700_000_000_000 }));
afterEach(() => void vi.useRealTimers());

const ROUTES: ReadonlySet<string> = new Set(['/', '/stripe']);
const HOLD_MS = 60_000;

type Asked = Omit<HeldRequest, 'id' | 'heldAt' | 'until'>;
const asked = (over: Partial<Asked> = {}): Asked => ({
  service: 'hooks',
  route: '/',
  method: 'POST',
  target: '',
  authority: 'hooks.example.com',
  hostname: 'hooks.example.com',
  remote: '192.0.2.1',
  version: '1.1',
  headers: [],
  bodyBytes: 1,
  ...over,
});

class MemoryDisk implements Pick<HeldStore, 'list' | 'nextId' | 'write' | 'body' | 'remove'> {
  readonly files = new Map<string, { request: HeldRequest; body: Buffer }>();
  failing: Error | undefined;
  /** Set: writes wait for the test. */
  gate: Deferred<void> | undefined;
  #last = 0;

  list = () => Promise.resolve({ held: [...this.files.values()].map(({ request }) => request), damaged: 0 });
  nextId = () => String(++this.#last);
  body = (id: string) => Promise.resolve(this.files.get(id)?.body);
  write = async (request: HeldRequest, body: Buffer) => {
    await this.gate?.promise;
    if (this.failing) throw this.failing;
    this.files.set(request.id, { request, body });
  };
  remove = (id: string) => {
    if (this.failing) return Promise.reject(this.failing);
    this.files.delete(id);
    return Promise.resolve();
  };
}

type Answer = (body: string) => Outcome | Promise<Outcome>;
const accept: Answer = () => ({ kind: 'delivered', status: 200 });

async function place(over: Partial<HeldOptions> = {}, disk = new MemoryDisk()) {
  const events: HeldEvent[] = [];
  const warnings: string[] = [];
  const warn = (message: string) => void warnings.push(message);
  const held = new HeldRequests({ onEvent: (event) => events.push(event), warn, log, ...over });
  await held.open(disk);
  const sent: string[] = [];
  let answer: Answer = accept;
  const deliver = async (_: HeldRequest, body: Buffer): Promise<Outcome> => {
    sent.push(String(body));
    return await answer(String(body));
  };
  const put = (body: string, of: Partial<Asked> = {}, holdMs = HOLD_MS): Promise<string> => {
    const room = held.enter(of.service ?? 'hooks');
    if (!room?.add(body.length)) throw new Error('full');
    return held.hold(asked({ bodyBytes: body.length, ...of }), Buffer.from(body), holdMs, room);
  };
  const named = (type: HeldEvent['event']): HeldEvent[] => events.filter(({ event }) => event === type);
  return {
    held,
    disk,
    events,
    warnings,
    sent,
    deliver,
    put,
    named,
    answer: (next: Answer) => (answer = next),
  };
}

const settled = (): Promise<unknown> => vi.advanceTimersByTimeAsync(0);
const DOWN: Outcome = { kind: 'down' };

it('delivers in order, one at a time, and removes each when the target has responded', async () => {
  const { held, disk, sent, deliver, put, events, answer } = await place();
  await put('a');
  await put('b');
  expect(held.isWaiting('hooks', '/')).toBe(true);
  expect(held.isWaiting('hooks', '/stripe')).toBe(false);
  const responding = deferred<Outcome>();
  answer(() => responding.promise);
  held.deliverWith('hooks', ROUTES, deliver);
  await settled();
  expect(sent).toEqual(['a']);
  expect(disk.files.size).toBe(2);
  responding.resolve({ kind: 'delivered', status: 404 });
  await settled();
  expect(sent).toEqual(['a', 'b']);
  expect(disk.files.size).toBe(0);
  expect(held.isWaiting('hooks', '/')).toBe(false);
  expect(events).toMatchObject([
    { event: 'held', service: 'hooks', route: '/', id: '1', waiting: 1, until: '2023-11-14T22:14:20.000Z' },
    { event: 'held', id: '2', waiting: 2 },
    { event: 'delivered', id: '1', waiting: 1, status: 404, attempts: 1, heldMs: 0 },
    { event: 'delivered', id: '2', waiting: 0, status: 404 },
  ]);
  expect(held.counts.get('hooks')).toEqual({ held: 2, delivered: 2, expired: 0 });
});

it('is on disk before the sender gets a response, and not held if the disk fails', async () => {
  const { held, disk, put, events, deliver, sent, warnings } = await place();
  disk.gate = deferred<void>();
  let isHeld = false;
  const holding = put('a').then(() => (isHeld = true));
  held.deliverWith('hooks', ROUTES, deliver);
  await settled();
  expect([isHeld, sent]).toEqual([false, []]);
  // A second one waits behind it.
  expect(held.isWaiting('hooks', '/')).toBe(true);
  disk.gate.resolve();
  await holding;
  await settled();
  expect(sent).toEqual(['a']);

  const full = Object.assign(new Error('ENOSPC: no space left on device, write'), { code: 'ENOSPC' });
  disk.failing = new PortalError('state_unwritable', '2.held cannot be written (ENOSPC)', { cause: full });
  await expect(put('b')).rejects.toThrow('ENOSPC');
  expect(warnings).toEqual(['hooks: requests cannot be held (ENOSPC), and their senders get 503']);
  expect(held.isWaiting('hooks', '/')).toBe(false);
  expect(events.filter(({ event }) => event === 'held')).toHaveLength(1);
});

it('backs off while deliveries fail: a few seconds while the target is down, longer after errors', async () => {
  const { held, sent, deliver, put, answer } = await place();
  answer(() => DOWN);
  held.deliverWith('hooks', ROUTES, deliver);
  await put('a', {}, 3_600_000);
  const pauses = async (count: number): Promise<number[]> => {
    const found: number[] = [];
    while (found.length < count) {
      const before = [Date.now(), sent.length] as const;
      while (sent.length === before[1]) await vi.advanceTimersByTimeAsync(100);
      found.push(Date.now() - before[0]);
    }
    return found;
  };
  await settled();
  expect(await pauses(5)).toEqual([500, 1_000, 2_000, 3_000, 3_000]);
  answer(() => ({ kind: 'failed', reason: 'the target responded with 500' }));
  await pauses(1);
  held.retry('hooks');
  await settled();
  expect((await pauses(9)).slice(-2)).toEqual([30_000, 30_000]);
  expect(held.status()).toMatchObject([{ waiting: 1, error: 'the target responded with 500' }]);
});

it('does not try while the target is known to be down, and tries at once when it is back', async () => {
  let isUp = false;
  const { held, sent, deliver, put } = await place({ mayBeUp: () => isUp });
  held.deliverWith('hooks', ROUTES, deliver);
  await put('a');
  await vi.advanceTimersByTimeAsync(30_000);
  expect(sent).toEqual([]);
  isUp = true;
  held.retry('hooks');
  await settled();
  expect(sent).toEqual(['a']);
});

it('reports requests that expire, with the reason, and counts attempts of those that failed', async () => {
  const { held, disk, named, deliver, put, answer } = await place();
  answer(() => ({ kind: 'failed', reason: 'the target responded with 500' }));
  held.deliverWith('hooks', ROUTES, deliver);
  await put('a');
  await put('gone', { route: '/removed' });
  await vi.advanceTimersByTimeAsync(HOLD_MS + 31_000);
  expect(named('expired')).toMatchObject([
    { route: '/', reason: 'the target responded with 500' },
    { route: '/removed', reason: 'its route is not running', attempts: 0 },
  ]);
  expect((named('expired')[0] as { attempts: number }).attempts).toBeGreaterThan(3);
  expect(disk.files.size).toBe(0);
  expect(held.status()).toEqual([]);
  expect(held.counts.get('hooks')).toEqual({ held: 2, delivered: 0, expired: 2 });
});

it('keeps a request that arrives while the pause of one that has expired continues', async () => {
  const { held, sent, deliver, put, answer } = await place();
  answer(() => DOWN);
  held.deliverWith('hooks', ROUTES, deliver);
  // Attempts at 0 s, 0.5 s, 1.5 s and 3.5 s. The next one would be at 6.5 s.
  await put('a', {}, 4_000);
  await vi.advanceTimersByTimeAsync(4_500);
  expect(held.status()).toEqual([]);
  await put('b');
  await vi.advanceTimersByTimeAsync(3_000);
  expect(held.status()).toMatchObject([{ route: '/', waiting: 1 }]);
  answer(accept);
  held.retry('hooks');
  await settled();
  expect(sent.at(-1)).toBe('b');
  expect(held.status()).toEqual([]);
});

it('does not expire a request that is being delivered', async () => {
  const { held, named, deliver, put, answer } = await place();
  const responding = deferred<Outcome>();
  answer(() => responding.promise);
  held.deliverWith('hooks', ROUTES, deliver);
  await put('a');
  await vi.advanceTimersByTimeAsync(HOLD_MS + 1_000);
  expect(named('expired')).toEqual([]);
  responding.resolve({ kind: 'delivered', status: 200 });
  await settled();
  expect(named('delivered')).toHaveLength(1);
});

it('limits the requests and the bytes of a service and of the agent, with bodies that arrive', async () => {
  const limits = { maxOfService: 2, maxRequests: 3, maxServiceBytes: 10, maxBytes: 15 };
  const { held, put } = await place({ limits });
  await put('12345');
  const room = held.enter('hooks')!;
  expect(room.add(4)).toBe(true);
  expect(room.add(3)).toBe(false);
  expect(held.enter('hooks')).toBeUndefined();
  held.leave(room);
  expect(held.enter('hooks')!.add(3)).toBe(true);
  const other = held.enter('other')!;
  expect(other.add(6)).toBe(true);
  expect(other.add(2)).toBe(false);
  expect(held.enter('third')).toBeUndefined();
});

it('continues with what an earlier run left: order, routes and expiry', async () => {
  const first = await place();
  await first.put('a');
  await first.put('b', { route: '/stripe' });
  await first.put('c');
  await first.held.close(10);
  await vi.advanceTimersByTimeAsync(10_000);
  const second = await place({}, first.disk);
  expect(second.held.status()).toMatchObject([
    { route: '/', waiting: 2, since: '2023-11-14T22:13:20.000Z' },
    { route: '/stripe', waiting: 1 },
  ]);
  second.held.deliverWith('hooks', new Set(['/']), second.deliver);
  await settled();
  expect(second.sent).toEqual(['a', 'c']);
  await vi.advanceTimersByTimeAsync(HOLD_MS);
  expect(second.named('expired')).toMatchObject([{ route: '/stripe' }]);
});

it('waits for the expiry of a request also after the clock was set back', async () => {
  const first = await place();
  await first.put('a');
  let reads = 0;
  const now = (): number => {
    reads++;
    return Date.now() - 60 * 24 * 60 * 60 * 1_000;
  };
  await place({ now }, first.disk);
  const before = reads;
  await vi.advanceTimersByTimeAsync(1_000);
  expect(reads).toBe(before);
});

it('reports what expired while no agent was running', async () => {
  const first = await place();
  await first.put('a');
  await first.put('b', {}, 2 * HOLD_MS);
  await first.held.close(10);
  await vi.advanceTimersByTimeAsync(HOLD_MS + 1);
  const second = await place({}, first.disk);
  expect(second.named('expired')).toMatchObject([{ id: '1', reason: 'the agent was not running' }]);
  second.held.deliverWith('hooks', ROUTES, second.deliver);
  await settled();
  expect(second.sent).toEqual(['b']);
});

it('waits for a route to come back, and delivers with the handler that serves it now', async () => {
  const { held, sent, deliver, put } = await place();
  const former = held.deliverWith('hooks', new Set(['/other']), () => Promise.reject(new Error('wrong')));
  await put('a');
  await settled();
  former.close();
  const handler = held.deliverWith('hooks', new Set<string>(), deliver);
  await settled();
  expect(sent).toEqual([]);
  handler.routes = ROUTES;
  await settled();
  expect(sent).toEqual(['a']);
});

it('drops a damaged file, reports it, and continues', async () => {
  const { held, disk, sent, deliver, put, named } = await place();
  await put('a');
  await put('b');
  disk.files.delete('1');
  held.deliverWith('hooks', ROUTES, deliver);
  await settled();
  expect(sent).toEqual(['b']);
  expect(named('expired')).toMatchObject([{ id: '1', reason: 'its file is damaged' }]);
});

it('does not deliver twice in one run what it cannot delete', async () => {
  const { held, disk, sent, deliver, put, warnings } = await place();
  await put('a');
  disk.failing = new Error('EIO');
  held.deliverWith('hooks', ROUTES, deliver);
  await vi.advanceTimersByTimeAsync(10_000);
  expect(sent).toEqual(['a']);
  expect(warnings).toEqual([
    'hooks: a held request cannot be deleted, and the agent delivers it again after a restart (EIO)',
  ]);
});

it('warns of damaged files', async () => {
  const disk = new MemoryDisk();
  disk.list = () => Promise.resolve({ held: [], damaged: 2 });
  const { warnings } = await place({}, disk);
  expect(warnings).toEqual([
    'held requests are damaged and cannot be delivered: 2; portal requests wipe deletes them',
  ]);
});

it('expires a request whose delivery throws', async () => {
  const { held, named, put } = await place();
  held.deliverWith('hooks', ROUTES, () => Promise.reject(new Error('EMFILE')));
  await put('a', {}, 40_000);
  await vi.advanceTimersByTimeAsync(40_001);
  expect(named('expired')).toMatchObject([{ id: '1' }]);
  await held.close(10);
});

it('can be wiped while it delivers, and closes after the delivery in progress', async () => {
  const { held, disk, sent, deliver, put, answer, named } = await place();
  const responding = deferred<Outcome>();
  answer(() => responding.promise);
  held.deliverWith('hooks', ROUTES, deliver);
  await put('a');
  await put('b');
  await settled();
  expect(await held.wipe()).toBe(2);
  expect(disk.files.size).toBe(0);
  responding.resolve({ kind: 'delivered', status: 200 });
  await settled();
  expect([sent, named('delivered')]).toEqual([['a'], []]);

  const last = deferred<Outcome>();
  answer(() => last.promise);
  await put('c');
  await put('d');
  await settled();
  let isClosed = false;
  const closing = held.close(5_000).then(() => (isClosed = true));
  await vi.advanceTimersByTimeAsync(1_000);
  expect(isClosed).toBe(false);
  last.resolve({ kind: 'delivered', status: 200 });
  await settled();
  await closing;
  expect(sent.slice(1)).toEqual(['c']);
  expect(disk.files.size).toBe(1);
  expect(held.isOpen).toBe(false);
  expect(held.enter('hooks')).toBeUndefined();
});
