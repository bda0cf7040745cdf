import type { Socket } from 'node:net';
import { serialize } from 'node:v8';
import { expect, it } from 'vitest';
import { FakeSocket } from '../../../test/support/fake-socket.js';
import { SocketChannel } from './socket-channel.js';

function channel() {
  const socket = new FakeSocket();
  const made = new SocketChannel(socket as unknown as Socket);
  const received: unknown[] = [];
  made.onMessage((message) => received.push(message));
  return { socket, channel: made, received };
}

/** A message as it is sent. */
function framed(message: unknown): Buffer {
  const body = serialize(message);
  const length = Buffer.alloc(4);
  length.writeUInt32BE(body.length);
  return Buffer.concat([length, body]);
}

it('delivers messages in their order, however the connection cuts them', async () => {
  const messages = [{ a: 1 }, new Map([['b', undefined]]), 'c'.repeat(300)];
  const bytes = Buffer.concat(messages.map(framed));
  for (const size of [1, 3, 7, 100, bytes.length]) {
    const { socket, received } = channel();
    for (let at = 0; at < bytes.length; at += size) socket.receive(bytes.subarray(at, at + size));
    await expect.poll(() => received).toEqual(messages);
  }
});

it('sends what the other end reads', async () => {
  const [sender, receiver] = [channel(), channel()];
  sender.channel.send({ type: 'tell', args: [undefined, 7] });
  await expect.poll(() => sender.socket.sent.length).toBeGreaterThan(0);
  receiver.socket.receive(sender.socket.sent);
  await expect.poll(() => receiver.received).toEqual([{ type: 'tell', args: [undefined, 7] }]);
});

it.each([
  ['a length beyond the limit', Buffer.from([0xff, 0, 0, 0])],
  ['bytes that are no message', Buffer.from([0, 0, 0, 2, 1, 1])],
])('closes at %s', async (_what, bytes) => {
  const { socket, channel: made } = channel();
  const closed = new Promise<void>((resolve) => made.onClose(resolve));
  socket.receive(bytes);
  await closed;
  expect(socket.destroyed).toBe(true);
});
