import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { Turns } from './turns.js';

const round = (): Promise<void> => new Promise(setImmediate);

/** Turns that each take `ms`. */
function turnsOf(ms: number) {
  let now = 0;
  const clock = vi.spyOn(performance, 'now').mockImplementation(() => now);
  onTestFinished(() => {
    clock.mockRestore();
  });
  const turns = new Turns();
  const done: string[] = [];
  const take = (network: string, kind: 'tls' | 'signature' = 'tls'): void =>
    turns.take(kind, network, () => {
      now += ms;
      done.push(network);
    });
  return { turns, done, take };
}

describe('turns', () => {
  it('start immediately if nothing waits', async () => {
    const { done, take } = turnsOf(10);
    take('a');
    expect(done).toEqual(['a']);
    while (done.length < 2) {
      await round();
      if (done.length === 1) take('b');
    }
    expect(done).toEqual(['a', 'b']);
  });

  it('go around the networks, however many one of them requests', async () => {
    const { done, take } = turnsOf(1);
    for (let count = 1; count <= 50; count++) take('crowd');
    for (const network of ['a', 'b', 'a']) take(network);
    while (done.length < 53) await round();
    expect(done.slice(0, 7)).toEqual(['crowd', 'crowd', 'a', 'b', 'crowd', 'a', 'crowd']);
  });

  it('allow two signatures per TLS handshake, so that clients that start also finish', async () => {
    const { done, take } = turnsOf(1);
    for (let count = 1; count <= 3; count++) take('tls');
    for (let count = 1; count <= 5; count++) take('signature', 'signature');
    while (done.length < 8) await round();
    expect(done.map((kind) => kind[0]).join('')).toBe('tsstssts');
  });

  it('leave time for other work: a round ends after some milliseconds', async () => {
    const { done, take } = turnsOf(3);
    for (let count = 1; count <= 20; count++) take('a');
    let before = done.length;
    while (done.length < 20) {
      await round();
      expect(done.length - before).toBeLessThanOrEqual(2);
      before = done.length;
    }
  });

  it('wait for the round after a connection was accepted', async () => {
    const { turns, done, take } = turnsOf(1);
    turns.arrived();
    take('a');
    expect(done).toEqual([]);
    while (done.length < 1) await round();
  });

  it('continue after work that fails', async () => {
    const turns = new Turns();
    const run = Array.from({ length: 5 }, (_, at) =>
      turns.run('a', () => {
        if (at % 2 === 0) throw new Error('it failed');
        return at;
      }),
    );
    const outcomes = await Promise.allSettled(run);
    expect(outcomes.map((outcome) => (outcome.status === 'fulfilled' ? outcome.value : 'failed'))).toEqual([
      'failed',
      1,
      'failed',
      3,
      'failed',
    ]);
  });
});
