import { execFileSync } from 'node:child_process';
import { mkdtemp, rename, rm, stat, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import {
  bodyOf,
  fill,
  historyPlace,
  recordingOf,
  SOURCE,
  targets,
} from '../../../../test/support/recordings.js';
import { generateIdentity } from '../../../identity/keys.js';
import { MessageLog } from '../messages.js';
import { firstOfRun, idText, parseId } from './ids.js';

describe('requests kept across runs', () => {
  it('are complete after the run', async () => {
    const place = await historyPlace();
    const first = await place.open();
    const messages = new MessageLog(
      { maxMessages: 9, maxMessageBytes: 9, maxInflatedBytes: 9 },
      () => true,
      () => undefined,
    );
    const message = {
      from: 'visitor',
      kind: 'text',
      at: 5,
      isCompressed: false,
      bytes: 0,
      parts: [],
      keptBytes: 0,
    };
    messages.begin(message as never);
    messages.keep(message as never, Buffer.from('hello'), () => undefined);
    await fill(
      first,
      1,
      1,
      () => ({
        method: 'POST',
        target: '/grüße?x=1',
        requestHeaders: ['X-Odd', 'ü\u0001"'],
        requestBody: bodyOf(Buffer.from([0, 255, 1])),
        responseTrailers: ['X-Sum', '7'],
        messages,
        replayOf: 3,
      }),
      new Set(['x-odd']),
    );
    await first.close();

    const second = await place.open();
    expect(second.run).toBe(first.run + 1);
    const id = firstOfRun(first.run) + 1;
    const found = await second.find(id);
    expect(found).toMatchObject({
      id,
      service: 'app',
      method: 'POST',
      target: '/grüße?x=1',
      requestHeaders: ['X-Odd', 'ü\u0001"'],
      responseTrailers: ['X-Sum', '7'],
      status: 200,
      outcome: 'done',
      replayOf: 3,
      past: { source: SOURCE, mask: new Set(['x-odd']) },
    });
    expect([...found!.requestBody.kept()]).toEqual([0, 255, 1]);
    expect(found!.responseBody.kept().toString()).toBe('s3cr3t-answer');
    expect(found!.messages?.read().map(({ parts }) => Buffer.concat(parts).toString())).toEqual(['hello']);
    expect(await second.find(id + 1)).toBeUndefined();
  });

  it('are found by search criteria, newest first, across all runs', async () => {
    const place = await historyPlace();
    const [one, other] = [await place.open(), await place.open({ source: null })];
    const at = (number: number): number => place.now - 10_000 + number * 1_000;
    await fill(one, 1, 3, (n) => ({ startedAt: at(n), status: 200 + n }));
    await fill(other, 4, 6, (n) => ({ startedAt: at(n), service: 'api', method: 'PUT', status: 500 + n }));
    await fill(one, 7, 7, (n) => ({ startedAt: at(n), outcome: 'broken' }));
    const found = async (wanted: Parameters<typeof place.search>[0], limit?: number): Promise<number[]> =>
      (await place.search(wanted, limit)).rows.map(({ id }) => id % 10);
    expect(await found({})).toEqual([7, 6, 5, 4, 3, 2, 1]);
    expect(await found({}, 2)).toEqual([7, 6]);
    expect((await place.search({}, 2)).isPart).toBe(true);
    expect((await place.search({}, 7)).isPart).toBe(false);
    expect(await found({ services: ['api'] })).toEqual([6, 5, 4]);
    expect(await found({ source: SOURCE })).toEqual([7, 3, 2, 1]);
    expect(await found({ statuses: ['5xx', '201'] })).toEqual([6, 5, 4, 1]);
    expect(await found({ statuses: ['broken'] })).toEqual([7]);
    expect(await found({ methods: ['PUT'], since: at(5) })).toEqual([6, 5]);
    expect(await found({ before: at(3) })).toEqual([2, 1]);
    expect(await found({ text: 'ITEM/2 get' })).toEqual([2]);
  });

  it('cannot be read on the disk', async () => {
    const place = await historyPlace();
    const history = await place.open();
    await fill(history, 1, 40, () => ({ target: '/s3cr3t-path', service: 's3cr3t-service' }));
    for (const text of [await place.everything(), (await history.close(), await place.everything())]) {
      expect(text).not.toMatch(/s3cr3t|item|app\.localhost|203\.0\.113|portal\.yaml|Content-Type/);
      expect(text.length).toBeGreaterThan(5_000);
    }
    expect((await stat(place.own)).mode & 0o777).toBe(0o700);
    for (const name of await place.files())
      expect((await stat(join(place.own, name))).mode & 0o777).toBe(0o600);
  });

  it('are written again when a done exchange turns out broken', async () => {
    const place = await historyPlace();
    const history = await place.open();
    const recording = recordingOf(firstOfRun(history.run) + 1);
    history.add(recording, new Set());
    await history.flush();
    history.add(recording, new Set());
    recording.outcome = 'broken';
    history.add(recording, new Set());
    await history.flush();
    const { rows } = await place.search();
    expect(rows.map(({ outcome }) => outcome)).toEqual(['broken']);
    expect(await history.find(recording.id)).toMatchObject({ outcome: 'broken' });
  });

  it('of parallel agents have distinct numbers, and none is lost', async () => {
    const place = await historyPlace();
    const agents = await Promise.all(Array.from({ length: 5 }, () => place.open()));
    expect(new Set(agents.map(({ run }) => run)).size).toBe(5);
    await Promise.all(agents.map((agent) => fill(agent, 1, 50)));
    expect((await place.search({}, 1_000)).rows).toHaveLength(250);
    await Promise.all(agents.map((agent) => agent.close()));
    expect((await place.search({}, 1_000)).rows).toHaveLength(250);
  });

  it('leave no empty file', async () => {
    const place = await historyPlace();
    await (await place.open()).close();
    expect(await place.files()).toEqual([]);
  });
});

describe('the history is limited', () => {
  it('in bytes: the oldest requests are removed, and free their space', async () => {
    const place = await historyPlace();
    const maxBytes = 512 * 1024;
    const history = await place.open({ limits: { maxBytes, maxWaiting: 100_000 } });
    for (let batch = 0; batch < 20; batch++)
      await fill(history, batch * 100 + 1, batch * 100 + 100, (n) => ({ startedAt: place.now + n }));
    const files = await Promise.all((await place.files()).map((name) => stat(join(place.own, name))));
    expect(files.reduce((sum, { size }) => sum + size, 0)).toBeLessThanOrEqual(maxBytes);
    const found = targets(await place.search({}, 10_000));
    expect(found[0]).toBe('/item/2000');
    expect(found.length).toBeGreaterThan(200);
    expect(found).not.toContain('/item/1');
    // The remaining requests have no gap.
    expect(found.at(-1)).toBe(`/item/${2_000 - found.length + 1}`);
  });

  it('in time: old requests are hidden and removed', async () => {
    const place = await historyPlace();
    const history = await place.open({ limits: { maxAgeMs: 1_000_000 } });
    await fill(history, 1, 1, () => ({ startedAt: place.now }));
    place.now += 600_000;
    await fill(history, 2, 2, () => ({ startedAt: place.now }));
    place.now += 500_000;
    expect(targets(await place.search())).toEqual(['/item/2']);
    expect(await history.find(firstOfRun(history.run) + 1)).toBeUndefined();
    await history.close();
    expect(await place.files()).toHaveLength(2);
    await (await place.open({ limits: { maxAgeMs: 1_000_000 } })).close();
    expect(await place.files()).toHaveLength(1);
  });

  it('by the maximum age of its portal.yaml, for every reader', async () => {
    const place = await historyPlace();
    const [brief, other] = [await place.open({ source: '/brief' }), await place.open()];
    brief.maxAgeMs = 60_000;
    await fill(brief, 1, 1, () => ({ startedAt: place.now }));
    await fill(other, 2, 2, () => ({ startedAt: place.now }));
    await brief.close();
    place.now += 70_000;
    expect(targets(await place.search())).toEqual(['/item/2']);
    await (await place.open()).close();
    expect(await place.files()).toHaveLength(1);
  });

  it('in files', async () => {
    const place = await historyPlace();
    for (let i = 1; i <= 6; i++) {
      const history = await place.open({ limits: { maxFiles: 3 } });
      place.now += 1_000;
      await fill(history, i, i, () => ({ startedAt: place.now }));
      await history.close();
    }
    expect(targets(await place.search())).toEqual(['/item/6', '/item/5', '/item/4', '/item/3']);
  });

  it('in waiting requests: more are dropped and counted', async () => {
    const place = await historyPlace();
    const history = await place.open({ limits: { maxWaiting: 10, maxWaitingBytes: 100_000 } });
    await fill(history, 1, 30);
    expect(history.lost).toBe(20);
    await fill(history, 31, 33, () => ({ responseBody: bodyOf(Buffer.alloc(60_000)) }));
    expect(history.lost).toBe(22);
    expect((await place.search()).rows).toHaveLength(11);
  });

  it('in messages of a WebSocket: the latest are kept', async () => {
    const place = await historyPlace();
    const history = await place.open({ limits: { maxRecordBytes: 100 } });
    const all = Array.from({ length: 9 }, (_, i) => ({
      from: 'service' as const,
      kind: 'text' as const,
      at: i,
      isCompressed: false,
      isCut: false,
      isWhole: true,
      bytes: 30,
      keptBytes: 30,
      parts: [Buffer.alloc(30, String(i))],
    }));
    const none = bodyOf('');
    await fill(history, 1, 1, () => ({
      messages: MessageLog.of(all, 4),
      requestBody: none,
      responseBody: none,
    }));
    const { messages } = (await history.find(firstOfRun(history.run) + 1))!;
    expect(messages).toMatchObject({ dropped: 4 + 6 });
    expect(messages!.read().map(({ at }) => at)).toEqual([6, 7, 8]);
  });
});

describe('the history is removed', () => {
  it('of an abandoned identity, after the maximum age', async () => {
    const place = await historyPlace();
    await fill(await place.open(), 1, 1);
    const former = await historyPlace(generateIdentity(), place.folder);
    await fill(await former.open(), 1, 1);
    const [name] = await former.files();
    const weekAgo = Date.now() / 1_000 - 8 * 86_400;
    await utimes(join(former.own, name!), weekAgo, weekAgo);
    await place.open();
    expect(await former.files()).toEqual([]);
    expect(targets(await place.search())).toEqual(['/item/1']);
  });

  it('of one portal.yaml, or completely, while agents continue', async () => {
    const place = await historyPlace();
    const [one, other] = [await place.open(), await place.open({ source: '/other' })];
    await fill(one, 1, 5);
    await fill(other, 6, 7);
    await one.clear();
    expect(targets(await place.search()).toSorted()).toEqual(['/item/6', '/item/7']);
    await fill(one, 8, 8);
    expect(targets(await place.search()).toSorted()).toEqual(['/item/6', '/item/7', '/item/8']);

    const kept = await one.wipe();
    expect(await place.files()).toEqual([kept]);
    expect((await place.search()).rows).toEqual([]);
    // The other agent notices that its file was removed, and starts another.
    await fill(other, 9, 9);
    await fill(one, 10, 10);
    expect(targets(await place.search()).toSorted()).toEqual(['/item/10', '/item/9']);
    expect(place.warnings).toEqual([]);
    expect(one.lost + other.lost).toBe(0);
  });

  it('with its folder, while an agent runs', async () => {
    const place = await historyPlace();
    const history = await place.open();
    await fill(history, 1, 2);
    await rm(place.folder, { recursive: true });
    await fill(history, 3, 3);
    expect(targets(await place.search())).toEqual(['/item/3']);
    await rename(place.own, `${place.own}-elsewhere`);
    await fill(history, 4, 4);
    expect(history.lost + place.warnings.length).toBe(0);
  });

  it('but the number of an active run stays reserved', async () => {
    const place = await historyPlace();
    const [one, other] = [await place.open(), await place.open()];
    await one.wipe();
    await other.wipe();
    const next = await place.open();
    expect([one.run, other.run]).not.toContain(next.run);
  });
});

describe('a disk that rejects writes', () => {
  it('loses and counts requests, and nothing else; then writing continues', async () => {
    const place = await historyPlace();
    const history = await place.open({ limits: { retryMs: 0 } });
    await fill(history, 1, 1);
    await rm(place.own, { recursive: true });
    await writeFile(place.own, 'in the way');
    await fill(history, 2, 3);
    await fill(history, 4, 4);
    expect(history.lost).toBe(3);
    expect(place.warnings).toHaveLength(1);
    await rm(place.own);
    await fill(history, 5, 5);
    expect(targets(await place.search())).toEqual(['/item/5']);
  });

  it('is not retried continuously', async () => {
    const place = await historyPlace();
    const history = await place.open({ limits: { retryMs: 60_000 } });
    await rm(place.own, { recursive: true });
    await writeFile(place.own, 'in the way');
    await fill(history, 1, 1);
    await rm(place.own);
    await fill(history, 2, 2);
    expect(history.lost).toBe(2);
  });

  it('is full: written requests stay readable, and writing continues once there is room', async (context) => {
    const folder = await mkdtemp(join(tmpdir(), 'portal-full-'));
    try {
      execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=256k', 'tmpfs', folder], { stdio: 'pipe' });
    } catch {
      await rm(folder, { recursive: true });
      context.skip('a small disk can only be mounted as root');
    }
    onTestFinished(() => void execFileSync('umount', ['--lazy', folder]));
    const place = await historyPlace(undefined, join(folder, 'history'));
    const history = await place.open({ limits: { retryMs: 0 } });
    await fill(history, 1, 20);
    await writeFile(join(folder, 'big'), Buffer.alloc(1024 * 1024)).catch(() => undefined);
    await fill(history, 21, 60, () => ({ responseBody: bodyOf(Buffer.alloc(10_000)) }));
    expect(history.lost).toBeGreaterThan(0);
    expect(place.warnings).toHaveLength(1);
    await rm(join(folder, 'big'));
    await fill(history, 61, 61);
    const found = targets(await place.search());
    expect(found).toContain('/item/1');
    expect(found).toContain('/item/61');
    expect(found).toHaveLength(61 - history.lost);
  });
});

it('gives requests ids that a person can type', () => {
  for (const [id, text] of [
    [7, '7'],
    [12_000_000_345, '12-345'],
  ] as const) {
    expect(idText(id)).toBe(text);
    expect(parseId(text)).toBe(id);
  }
  for (const text of ['', '-1', '1-', '1-2-3', 'a', '1234567-1', '0x1'])
    expect(parseId(text)).toBeUndefined();
});

it('keeps requests no longer after a fast clock is corrected', async () => {
  const place = await historyPlace();
  const right = place.now;
  place.now += 365 * 86_400_000;
  const history = await place.open();
  await fill(history, 1, 1, () => ({ startedAt: place.now, target: '/ahead' }));
  await history.flush();
  place.now = right;
  await fill(history, 2, 2, () => ({ startedAt: right, target: '/right' }));
  await history.close();
  expect(targets(await place.search())).toContain('/right');
  place.now = right + 8 * 86_400_000;
  await (await place.open()).close();
  // Not even for a reader with a longer maximum age.
  place.now = right;
  expect(targets(await place.search())).toEqual(['/ahead']);
});
