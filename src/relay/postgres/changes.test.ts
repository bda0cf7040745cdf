import { expect, it } from 'vitest';
import { Changes, Snapshot, type Change } from './changes.js';

const released = (place: string, xid: number): string =>
  JSON.stringify({ type: 'released', place, epoch: '1', xid: String(xid) });
const EMPTY = { nodes: [], lost: [], leases: [], denials: [] };

it('a snapshot includes the transactions that had ended', () => {
  const snapshot = new Snapshot('10:20:12,15');
  const included = ['9', '10', '11', '12', '15', '16', '19', '20', '21'].filter((xid) =>
    snapshot.includes(xid),
  );
  expect(included).toEqual(['9', '10', '11', '16', '19']);
  expect(new Snapshot('10:10:').includes('10')).toBe(false);
});

it('changes during a reading wait for it, except those that it includes', () => {
  const seen: string[] = [];
  const changes = new Changes({
    load: () => void seen.push('reading'),
    take: (change: Change) => {
      seen.push((change as { place: string }).place);
      return false;
    },
  });
  changes.notice(released('before', 5));
  changes.begin();
  changes.notice(released('included', 7));
  changes.notice(released('running', 8));
  changes.notice(released('later', 12));
  expect(seen).toEqual(['before']);
  changes.loaded(EMPTY, new Snapshot('8:10:8'));
  changes.notice(released('after', 13));
  expect(seen).toEqual(['before', 'reading', 'running', 'later', 'after']);
});

it('the caller that waits for a change runs before the next change', async () => {
  const seen: string[] = [];
  const changes = new Changes({
    load: () => void seen.push('reading'),
    take: (change: Change) => {
      const { place } = change as { place: string };
      seen.push(place);
      if (place === 'claimed') void Promise.resolve().then(() => seen.push('caller'));
      return place === 'claimed';
    },
  });
  for (const place of ['claimed', 'taken']) changes.notice(released(place, 1));
  changes.begin();
  changes.loaded(EMPTY, new Snapshot('2:2:'));
  await expect.poll(() => seen).toEqual(['claimed', 'caller', 'taken', 'reading']);
});

it('payloads of other programs are ignored', () => {
  const seen: Change[] = [];
  const changes = new Changes({ load: () => undefined, take: (change) => seen.push(change) < 0 });
  for (const payload of ['', 'hello', 'null', '7', '{}', '{"type":"released"}']) changes.notice(payload);
  expect(seen).toEqual([]);
});
