import { EventEmitter } from 'node:events';
import type { Socket } from 'node:net';
import type { ServerHttp2Session } from 'node:http2';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { Client } from '../exchange/exchange.js';
import { VisitorConnections } from './connections.js';

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

/** A socket that notes how it ends. It closes when it is destroyed. */
class FakeSocket extends EventEmitter {
  readonly ends: string[] = [];
  bytesRead = 0;
  bytesWritten = 0;

  end(): void {
    this.ends.push('end');
  }

  destroy(): void {
    this.ends.push('destroy');
    this.emit('close');
  }
}

function place() {
  const connections = new VisitorConnections();
  const cuts: number[] = [];
  const add = (client: Partial<Client> = {}, session?: ServerHttp2Session): FakeSocket => {
    const socket = new FakeSocket();
    connections.add(socket as unknown as Socket, {
      client: client as Client,
      ...(session && { session }),
    });
    return socket;
  };
  const onCut = (count: number): void => void cuts.push(count);
  return { connections, add, cuts, onCut };
}

/** What Node sets during a response. */
const RESPONDING = { _httpMessage: { req: { httpVersionMinor: 1 } } };

it('counts the bytes of open and closed connections', () => {
  const { connections, add } = place();
  const client = {};
  const [first, second] = [add(client), add()];
  Object.assign(first, { bytesRead: 1, bytesWritten: 2 });
  Object.assign(second, { bytesRead: 10, bytesWritten: 20 });
  expect(connections.clientOf(first as unknown as Socket)).toBe(client);
  expect(connections.traffic()).toEqual({ visitors: 2, bytesIn: 11, bytesOut: 22 });
  first.destroy();
  expect(connections.clientOf(first as unknown as Socket)).toBeUndefined();
  expect(connections.traffic()).toEqual({ visitors: 1, bytesIn: 11, bytesOut: 22 });
});

describe('a drain', () => {
  it('ends at once without connections or time', async () => {
    const { connections, add, cuts, onCut } = place();
    expect(connections.isDraining).toBe(false);
    await connections.drain({ ms: 1_000, onCut });
    expect(connections.isDraining).toBe(true);
    const socket = add();
    await connections.drain({ ms: 0, onCut });
    connections.cut();
    expect([socket.ends, cuts]).toEqual([['destroy'], []]);
  });

  it('ends with the last connection', async () => {
    const { connections, add, cuts, onCut } = place();
    const [first, second] = [add({ unanswered: 1 }), add({ unanswered: 1 })];
    let isDone = false;
    const draining = connections.drain({ ms: 600_000, onCut }).then(() => (isDone = true));
    first.destroy();
    await vi.advanceTimersByTimeAsync(60_000);
    expect(isDone).toBe(false);
    second.destroy();
    await draining;
    expect([cuts, vi.getTimerCount()]).toEqual([[], 0]);
  });

  it('reports the connections that are left, except switched ones', async () => {
    const { connections, add, cuts, onCut } = place();
    add({ unanswered: 1 });
    add({ isSwitched: true });
    const draining = connections.drain({ ms: 1_000, onCut });
    await vi.advanceTimersByTimeAsync(1_000);
    await draining;
    expect(cuts).toEqual([1]);
  });

  it('closes HTTP/2 sessions, which then accept no more requests', async () => {
    const { connections, add } = place();
    const close = vi.fn<() => void>();
    const socket = add({}, { close } as unknown as ServerHttp2Session);
    const draining = connections.drain({ ms: 600_000 });
    expect(close).toHaveBeenCalledOnce();
    socket.destroy();
    await draining;
  });

  it('ends when another drain cuts the connections', async () => {
    const { connections, add } = place();
    const socket = add({ unanswered: 1 });
    // Closes slowly.
    socket.destroy = () => undefined;
    const draining = connections.drain({ ms: 600_000, retires: true });
    connections.cut();
    await expect(draining).resolves.toBeUndefined();
  });
});

describe('connections of a drain', () => {
  it('end while they are idle between requests, but not at once', async () => {
    const { connections, add, cuts, onCut } = place();
    const socket = add();
    const draining = connections.drain({ ms: 600_000, onCut });
    await vi.advanceTimersByTimeAsync(500);
    expect(socket.ends).toEqual([]);
    await vi.advanceTimersByTimeAsync(60_000);
    await draining;
    expect(socket.ends.at(0)).toBe('end');
    expect(socket.ends.at(-1)).toBe('destroy');
    expect(cuts).toEqual([]);
  });

  it('stay open while bytes move', async () => {
    const { connections, add } = place();
    const socket = add();
    const moving = setInterval(() => socket.bytesRead++, 100);
    const draining = connections.drain({ ms: 10_000 });
    await vi.advanceTimersByTimeAsync(10_000);
    await draining;
    clearInterval(moving);
    expect(socket.ends).toEqual([]);
  });

  it('stay open during a slow response, unless a retiring handler has waited too long', async () => {
    const { connections, add, cuts, onCut } = place();
    const socket = add();
    Object.assign(socket, RESPONDING);
    const draining = connections.drain({ ms: 600_000, quietMs: 1_000, onCut });
    await vi.advanceTimersByTimeAsync(500_000);
    expect(socket.ends).toEqual([]);
    const retiring = connections.drain({ ms: 0, retires: true, onCut });
    await vi.advanceTimersByTimeAsync(600_000);
    await Promise.all([draining, retiring]);
    expect(socket.ends).toEqual(['destroy']);
    expect(cuts.at(-1)).toBe(1);
  });
});
