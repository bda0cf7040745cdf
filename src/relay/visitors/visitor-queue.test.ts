import { describe, expect, it } from 'vitest';
import type { WireCarrier } from '../../protocol/messages.js';
import { VisitorQueue, type WaitingVisitor } from './visitor-queue.js';

const MAX = 4;

class Waiting implements WaitingVisitor<Waiting> {
  place: WaitingVisitor<Waiting>['place'];
  rejected: string | undefined;
  readonly #queue: VisitorQueue<Waiting>;
  readonly network: string;
  readonly carrier: WireCarrier;

  constructor(queue: VisitorQueue<Waiting>, network: string, carrier: WireCarrier = 'raw') {
    this.#queue = queue;
    this.network = network;
    this.carrier = carrier;
  }

  giveUp(why: 'queue_full' | 'lease_ended'): void {
    this.rejected = why;
    this.#queue.delete(this);
  }
}

function queueOf(...networks: string[]): { queue: VisitorQueue<Waiting>; visitors: Waiting[] } {
  const queue = new VisitorQueue<Waiting>();
  const visitors = networks.map((network) => new Waiting(queue, network));
  for (const visitor of visitors) expect(queue.add(visitor, MAX)).toBe(true);
  return { queue, visitors };
}

/** Takes every visitor of a carrier, as data connections arrive. */
function* served(queue: VisitorQueue<Waiting>, carrier: WireCarrier = 'raw'): Generator<Waiting> {
  for (let next = queue.first(carrier); next; next = queue.first(carrier)) {
    queue.delete(next);
    yield next;
  }
}

describe('a queue of visitors', () => {
  it('serves networks in turns, and each network in the order of arrival', () => {
    const { queue, visitors } = queueOf('a', 'a', 'a', 'b');
    const [first, second, third, other] = visitors;
    expect([...served(queue)]).toEqual([first, other, second, third]);
    expect(queue.size).toBe(0);
  });

  it('has a line for each carrier', () => {
    const { queue } = queueOf('a');
    const overTls = new Waiting(queue, 'a', 'tls');
    queue.add(overTls, MAX);
    expect(queue.carriers).toEqual(['raw', 'tls']);
    expect([queue.count('raw'), queue.count('tls'), queue.count('ws')]).toEqual([1, 1, 0]);
    expect([...served(queue, 'tls')]).toEqual([overTls]);
    expect(queue.carriers).toEqual(['raw']);
  });

  it('drops a visitor of the network with the most when it is full', () => {
    const { queue, visitors } = queueOf('a', 'a', 'a', 'b');
    const newcomer = new Waiting(queue, 'c');
    expect(queue.add(newcomer, MAX)).toBe(true);
    expect(visitors.map(({ rejected }) => rejected)).toEqual(['queue_full', undefined, undefined, undefined]);
    expect(queue.size).toBe(MAX);
  });

  it('rejects a newcomer of that network itself', () => {
    const { queue, visitors } = queueOf('a', 'a', 'a', 'b');
    expect(queue.add(new Waiting(queue, 'a'), MAX)).toBe(false);
    expect(visitors.every(({ rejected }) => rejected === undefined)).toBe(true);
  });

  it('frees a place once for each visitor that leaves', () => {
    const { queue, visitors } = queueOf('a', 'b');
    queue.delete(visitors[0]!);
    queue.delete(visitors[0]!);
    expect([queue.size, queue.count('raw'), queue.first('raw')]).toEqual([1, 1, visitors[1]]);
  });

  it('rejects all when its lease ends', () => {
    const { queue, visitors } = queueOf('a', 'a', 'b');
    queue.clear('lease_ended');
    expect(visitors.map(({ rejected }) => rejected)).toEqual(['lease_ended', 'lease_ended', 'lease_ended']);
    expect([queue.size, queue.carriers]).toEqual([0, []]);
  });
});
