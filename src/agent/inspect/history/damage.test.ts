import { cp, mkdir, open, readFile, rename, stat, truncate, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { fill, historyPlace, targets, type Place } from '../../../../test/support/recordings.js';
import { firstOfRun } from './ids.js';
import { FRAME_HEAD_BYTES, HEAD_BYTES } from './seal.js';

/** A closed history of some files, in which each request's path is its number. */
async function written(runs: number, each: number): Promise<Place> {
  const place = await historyPlace();
  for (let run = 0; run < runs; run++) {
    const history = await place.open();
    place.now += 1_000;
    for (let i = 1; i <= each; i++)
      await fill(history, run * each + i, run * each + i, () => ({ startedAt: place.now + i }));
    await history.close();
  }
  return place;
}

const pathOf = async (place: Place, index: number): Promise<string> =>
  join(place.own, (await place.files())[index]!);

/** Makes a file look so old that no process can still be about to write it. */
const settle = (path: string): Promise<void> => {
  const hourAgo = Date.now() / 1_000 - 3_600;
  return utimes(path, hourAgo, hourAgo);
};

describe('a history that is', () => {
  it('of another identity cannot be opened, is set aside, and a new one starts', async () => {
    const place = await written(2, 3);
    const other = await historyPlace();
    await cp(place.own, other.own, { recursive: true });
    expect(await other.search()).toMatchObject({ rows: [], damaged: 0 });
    const history = await other.open();
    await fill(history, 9, 9);
    expect(targets(await other.search())).toEqual(['/item/9']);
    expect(other.warnings).toHaveLength(1);
    expect(other.warnings[0]).toContain('portal requests wipe');
    expect(await other.files()).toContain('unreadable');
    // The original identity loses nothing.
    expect((await place.search()).rows).toHaveLength(6);
    await history.wipe();
    expect(await other.files()).toHaveLength(1);
  });

  it.each(['empty', 'truncated in its head', 'a folder', 'something else'])(
    '%s is set aside',
    async (what) => {
      const place = await written(2, 3);
      const path = await pathOf(place, 0);
      if (what === 'empty') await truncate(path, 0);
      else if (what === 'truncated in its head') await truncate(path, 50);
      else if (what === 'something else') await writeFile(path, 'x'.repeat(5_000));
      else {
        await rename(path, `${path}.away`);
        await mkdir(path);
      }
      await settle(path);
      expect(targets(await place.search())).toEqual(['/item/6', '/item/5', '/item/4']);
      const history = await place.open();
      await fill(history, 7, 7);
      expect(place.warnings).toHaveLength(1);
      expect(targets(await place.search()).toSorted()).toEqual(['/item/4', '/item/5', '/item/6', '/item/7']);
    },
  );

  it('renamed to another name cannot be opened', async () => {
    const place = await written(1, 3);
    const path = await pathOf(place, 0);
    await cp(path, join(place.own, '000009-000.requests'));
    expect(targets(await place.search())).toHaveLength(3);
    expect((await place.open()).run).toBe(2);
    expect(place.warnings).toHaveLength(1);
  });

  it('a file instead of a folder is moved aside', async () => {
    const place = await historyPlace();
    await writeFile(place.own, 'in the way');
    const history = await place.open();
    await fill(history, 1, 1);
    expect(targets(await place.search())).toEqual(['/item/1']);
    expect(await readFile(`${place.own}.unreadable`, 'utf8')).toBe('in the way');
    expect(place.warnings).toHaveLength(1);
  });

  it('truncated within a write keeps everything before that write', async () => {
    const place = await written(1, 5);
    const path = await pathOf(place, 0);
    const { size } = await stat(path);
    let last = 5;
    for (let bytes = size - 1; bytes > size / 3; bytes -= 37) {
      await truncate(path, bytes);
      const found = targets(await place.search());
      expect(found.length).toBeLessThanOrEqual(last);
      last = found.length;
      expect(found).toEqual(['/item/5', '/item/4', '/item/3', '/item/2', '/item/1'].slice(5 - last));
    }
    expect(last).toBeLessThan(4);
  });

  it('changed anywhere never throws, hangs, or shows anything that was not recorded', async () => {
    const place = await written(1, 6);
    const path = await pathOf(place, 0);
    const whole = await readFile(path);
    const history = await place.open();
    const change = fc.record({
      at: fc.nat({ max: whole.length - 1 }),
      bytes: fc.uint8Array({ minLength: 1, maxLength: 12 }),
    });
    await fc.assert(
      fc.asyncProperty(fc.array(change, { minLength: 1, maxLength: 5 }), async (changes) => {
        const changed = Buffer.from(whole);
        for (const { at, bytes } of changes) changed.set(bytes.subarray(0, whole.length - at), at);
        await writeFile(path, changed);
        const { rows, damaged } = await place.search();
        for (const { target, id, service } of rows) {
          expect(target).toBe(`/item/${id % 1_000_000_000}`);
          expect(service).toBe('app');
        }
        const found = rows[0] && (await history.find(rows[0].id));
        expect(['s3cr3t-answer', undefined]).toContain(found?.responseBody.kept().toString());
        expect(damaged).toBeLessThanOrEqual(6);
        expect(new Set(rows.map(({ id }) => id)).size).toBe(rows.length);
      }),
      { numRuns: 120 },
    );
  });

  it('with two swapped parts shows neither of them', async () => {
    const place = await historyPlace();
    const history = await place.open();
    await fill(history, 1, 1, () => ({ target: '/a' }));
    await fill(history, 2, 2, () => ({ target: '/b' }));
    const path = await pathOf(place, 0);
    const bytes = await readFile(path);
    // Each request has one frame for its part and one for its row, and both requests have equal lengths.
    const frames: { at: number; length: number }[] = [];
    for (let at = HEAD_BYTES; at < bytes.length;) {
      const length = FRAME_HEAD_BYTES + bytes.readUInt32BE(at);
      frames.push({ at, length });
      at += length;
    }
    const [, one, , other] = frames as [never, (typeof frames)[0], never, (typeof frames)[0]];
    expect(one.length).toBe(other.length);
    const handle = await open(path, 'r+');
    await handle.write(bytes, other.at, other.length, one.at);
    await handle.write(bytes, one.at, one.length, other.at);
    await handle.close();
    expect((await place.search()).rows).toHaveLength(2);
    for (const number of [1, 2]) expect(await history.find(firstOfRun(history.run) + number)).toBeUndefined();
  });
});
