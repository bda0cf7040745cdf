import { once } from 'node:events';
import type { AddressInfo, Socket } from 'node:net';
import { expect, it, onTestFinished } from 'vitest';
import { WebSocket, WebSocketServer } from 'ws';
import { systemCode } from '../../lib/errors.js';
import { WsSocket } from './socket.js';

const LIMITS = { maxMessageBytes: 1_000, pingMs: 60_000 };

/** Both ends of one connection. */
async function connection(): Promise<[near: Socket, far: Socket]> {
  const server = new WebSocketServer({ host: '127.0.0.1', port: 0 });
  await once(server, 'listening');
  const client = new WebSocket(`ws://127.0.0.1:${(server.address() as AddressInfo).port}`);
  const [[accepted]] = (await Promise.all([once(server, 'connection'), once(client, 'open')])) as [
    [WebSocket],
    unknown,
  ];
  onTestFinished(() => {
    client.terminate();
    server.close();
  });
  return [new WsSocket(client, LIMITS), new WsSocket(accepted, LIMITS)];
}

/** `near` ends and closes before `far` has ended. Resolves once `far` has seen the end. */
async function closedEarly(near: Socket, far: Socket): Promise<void> {
  const closed = once(near, 'close');
  const ended = once(far.resume(), 'end');
  near.end('answer', () => near.destroy());
  await Promise.all([ended, closed]);
}

it('ends cleanly after a peer that has ended and closed', async () => {
  const [near, far] = await connection();
  await closedEarly(near, far);
  const closed = new Promise((resolve) => far.once('error', resolve).once('close', () => resolve('closed')));
  far.end();
  expect(await closed).toBe('closed');
});

it('rejects bytes to a peer that has ended and closed', async () => {
  const [near, far] = await connection();
  await closedEarly(near, far);
  const error = once(far, 'error');
  far.write('late');
  expect(await error).toEqual([expect.any(Error)]);
});

it('is reset by a peer that closes before its end', async () => {
  const [near, far] = await connection();
  const error = once(far, 'error');
  near.destroy();
  expect(systemCode(((await error) as [Error])[0])).toBe('ECONNRESET');
});
