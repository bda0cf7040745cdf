import { expect, it } from 'vitest';
import { channelPair } from '../../test/support/channel.js';
import { batched } from './batches.js';
import type { Channel } from './calls.js';

/** A channel that counts what passes through it. */
function counted(channel: Channel): Channel & { sent: number } {
  const one = {
    ...channel,
    sent: 0,
    send: (message: unknown) => {
      one.sent++;
      channel.send(message);
    },
  };
  return one;
}

it('sends the messages of one turn as one message, and keeps their order', async () => {
  const [near, far] = channelPair();
  const below = counted(near);
  const [one, other] = [batched(below), batched(far)];
  const heard: unknown[] = [];
  other.onMessage((message) => heard.push(message));
  for (const message of [1, undefined, 'three']) one.send(message);
  await expect.poll(() => heard).toEqual([1, undefined, 'three']);
  one.send(4);
  await expect.poll(() => heard.at(-1)).toBe(4);
  expect(below.sent).toBe(2);
  one.close();
});

it('sends pending messages before it closes', async () => {
  const [near, far] = channelPair();
  const [one, other] = [batched(near), batched(far)];
  const heard: unknown[] = [];
  const closed = new Promise<void>((resolve) => other.onClose(resolve));
  other.onMessage((message) => heard.push(message));
  one.send('last');
  one.close();
  await closed;
  expect(heard).toEqual(['last']);
});
