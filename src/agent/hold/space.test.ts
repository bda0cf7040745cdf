import { expect, it } from 'vitest';
import { HeldSpace, type Usage } from './space.js';

const LIMITS = { maxOfService: 2, maxServiceBytes: 10, maxRequests: 3, maxBytes: 15 };

/** Space in which `waiting` has the requests of each service that wait. */
function spaceOf(waiting: Record<string, Usage> = {}): HeldSpace {
  return new HeldSpace(LIMITS, (service) =>
    Object.entries(waiting)
      .filter(([of]) => service === undefined || of === service)
      .reduce((sum, [, { count, bytes }]) => ({ count: sum.count + count, bytes: sum.bytes + bytes }), {
        count: 0,
        bytes: 0,
      }),
  );
}

it('limits the requests of a service and of the agent, those that arrive included', () => {
  const space = spaceOf({ a: { count: 1, bytes: 0 } });
  const room = space.enter('a')!;
  expect(space.enter('a')).toBeUndefined();
  expect(space.enter('b')).toBeDefined();
  expect(space.enter('c')).toBeUndefined();
  space.leave(room);
  expect(space.enter('a')).toBeDefined();
});

it('limits the bytes of a service and of the agent, those that arrive included', () => {
  const space = spaceOf({ a: { count: 1, bytes: 4 } });
  const [ofA, ofB] = [space.enter('a')!, space.enter('b')!];
  expect(ofA.add(6)).toBe(true);
  expect(ofA.add(1)).toBe(false);
  expect(ofB.add(5)).toBe(true);
  expect(ofB.add(1)).toBe(false);
  expect([ofA.bytes, ofB.bytes]).toEqual([6, 5]);
  space.leave(ofA);
  expect(ofB.add(5)).toBe(true);
});
