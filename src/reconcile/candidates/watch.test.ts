import { describe, expect, it, onTestFinished } from 'vitest';
import { PortalError } from '../../lib/errors.js';
import { SessionWatch } from './watch.js';

const A = 'https://a.example';
const B = 'https://b.example';
const gone = new PortalError('relay_unreachable', 'gone');

interface World {
  readonly watch: SessionWatch;
  /** What was noted, in order: the relay, and whether it is down. */
  readonly noted: string[];
  /** Answers of each round of asking. */
  readonly rounds: Record<string, boolean>[];
  readonly asked: string[][];
}

/** Both are connected, and A is chosen. */
function world(rounds: Record<string, boolean>[], { someoneAnswers = false, chosen = [A] } = {}): World {
  const noted: string[] = [];
  const asked: string[][] = [];
  const watch = new SessionWatch({
    isChosen: (key) => chosen.includes(key),
    answers: async (keys) => {
      asked.push([...keys]);
      const round = rounds.shift() ?? {};
      return new Map(keys.map((key) => [key, round[key] ?? false]));
    },
    someoneAnswers: async () => someoneAnswers,
    note: (key, error) => noted.push(`${key} ${error ? 'down' : 'well'}`),
    onNews: () => undefined,
    slowestMs: () => 0,
    paces: { answerMs: 50, backMs: 20 },
  });
  onTestFinished(() => watch.close());
  for (const key of [A, B, 'embedded:8443', `${A},${B}`]) watch.session(key, 'connected');
  noted.length = 0;
  return { watch, noted, rounds, asked };
}

describe('a relay in use that is silent', () => {
  it('is down when it is silent twice, and others are not', async () => {
    const { watch, noted, asked } = world([{ [B]: true }, {}]);
    await watch.ask();
    expect(noted).toEqual([`${A} down`]);
    // Neither a chain nor the relay in this process says anything of the network.
    expect(asked).toEqual([[A, B], [A]]);
  });

  it('is healthy when it answers the second time', async () => {
    const { watch, noted } = world([{ [B]: true }, { [A]: true }]);
    await watch.ask();
    expect(noted).toEqual([]);
  });

  it.each([
    [false, []],
    [true, [`${A} down`]],
  ])('with all others: a relay that is not in use decides (%s)', async (someoneAnswers, expected) => {
    const { watch, noted } = world([{}, {}], { someoneAnswers });
    await watch.ask();
    expect(noted).toEqual(expected);
  });

  it('is not asked when it is not chosen', async () => {
    const { watch, asked } = world([], { chosen: [] });
    await watch.ask();
    expect(asked).toEqual([]);
  });
});

describe('a session that was lost', () => {
  it('counts once it is not back in time', async () => {
    const { watch, noted } = world([]);
    watch.session(A, 'lost', gone);
    await expect.poll(() => noted).toEqual([`${A} down`]);
  });

  it('does not count when it is back', async () => {
    const { watch, noted } = world([]);
    watch.session(A, 'lost', gone);
    watch.session(A, 'connected');
    // The deadline of another, set later, has passed: so has that of the first.
    watch.expect('https://late.example', 40, gone);
    await expect.poll(() => noted).toContain('https://late.example down');
    expect(noted).toEqual([`${A} well`, 'https://late.example down']);
  });

  it('counts at once when coming back is refused', () => {
    const { watch, noted } = world([]);
    watch.session(A, 'lost', gone);
    watch.session(A, 'refused', gone);
    expect(noted).toEqual([`${A} down`]);
  });
});
