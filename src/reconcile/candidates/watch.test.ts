import { describe, expect, it, onTestFinished } from 'vitest';
import { PortalError } from '../../lib/errors.js';
import { SessionWatch } from './watch.js';

const A = 'https://a.example';
const B = 'https://b.example';
const gone = new PortalError('relay_unreachable', 'gone');

interface World {
  readonly watch: SessionWatch;
  /** The recorded states in order: the relay, and whether it is down. */
  readonly noted: string[];
  /** The responses of each round of checks. */
  readonly rounds: Record<string, boolean>[];
  readonly asked: string[][];
}

/** Both relays are connected, and A is chosen. */
function world(rounds: Record<string, boolean>[], { anotherResponds = false, chosen = [A] } = {}): World {
  const noted: string[] = [];
  const asked: string[][] = [];
  const watch = new SessionWatch({
    isChosen: (key) => chosen.includes(key),
    responding: async (keys) => {
      asked.push([...keys]);
      const round = rounds.shift() ?? {};
      return new Map(keys.map((key) => [key, round[key] ?? false]));
    },
    anotherResponds: async () => anotherResponds,
    note: (key, error) => noted.push(`${key} ${error ? 'down' : 'healthy'}`),
    onNews: () => undefined,
    slowestMs: () => 0,
    paces: { responseMs: 50, reconnectMs: 20 },
  });
  onTestFinished(() => watch.close());
  for (const key of [A, B, 'embedded:8443', `${A},${B}`]) watch.session(key, 'connected');
  noted.length = 0;
  return { watch, noted, rounds, asked };
}

describe('a relay in use that does not respond', () => {
  it('is down when it misses two checks and others respond', async () => {
    const { watch, noted, asked } = world([{ [B]: true }, {}]);
    await watch.ask();
    expect(noted).toEqual([`${A} down`]);
    // A chain and the embedded relay say nothing about the network.
    expect(asked).toEqual([[A, B], [A]]);
  });

  it('is healthy when it responds to the second check', async () => {
    const { watch, noted } = world([{ [B]: true }, { [A]: true }]);
    await watch.ask();
    expect(noted).toEqual([]);
  });

  it.each([
    [false, []],
    [true, [`${A} down`]],
  ])('with all others is judged by a relay that is not in use (%s)', async (anotherResponds, expected) => {
    const { watch, noted } = world([{}, {}], { anotherResponds });
    await watch.ask();
    expect(noted).toEqual(expected);
  });

  it('is not checked when it is not chosen', async () => {
    const { watch, asked } = world([], { chosen: [] });
    await watch.ask();
    expect(asked).toEqual([]);
  });
});

describe('a lost session', () => {
  it('counts as down when it does not reconnect in time', async () => {
    const { watch, noted } = world([]);
    watch.session(A, 'lost', gone);
    await expect.poll(() => noted).toEqual([`${A} down`]);
  });

  it('does not count as down when it reconnects in time', async () => {
    const { watch, noted } = world([]);
    watch.session(A, 'lost', gone);
    watch.session(A, 'connected');
    // The later deadline of another relay has passed, so this one has too.
    watch.expect('https://late.example', 40, gone);
    await expect.poll(() => noted).toContain('https://late.example down');
    expect(noted).toEqual([`${A} healthy`, 'https://late.example down']);
  });

  it('counts as down immediately when the relay rejects it', () => {
    const { watch, noted } = world([]);
    watch.session(A, 'lost', gone);
    watch.session(A, 'refused', gone);
    expect(noted).toEqual([`${A} down`]);
  });
});
