import { expect, it } from 'vitest';
import { channelPair } from '../../test/support/channel.js';
import { Caller, serveCalls, type Channel } from './calls.js';
import { multiplex } from './multiplexer.js';

const NAMES = ['left', 'right'] as const;

function pair() {
  const [near, far] = channelPair();
  return { near: multiplex(near, NAMES), far: multiplex(far, NAMES), below: near };
}

function heard(channel: Channel): unknown[] {
  const messages: unknown[] = [];
  channel.onMessage((message) => messages.push(message));
  return messages;
}

const closed = (channel: Channel): Promise<void> => new Promise((resolve) => channel.onClose(resolve));

it('keeps channels apart, in both directions', async () => {
  const { near, far } = pair();
  const [left, right, back] = [heard(far.left), heard(far.right), heard(near.left)];
  near.left.send('a');
  near.right.send(new Map([['b', undefined]]));
  near.left.send(undefined);
  far.left.send('c');
  await expect
    .poll(() => [left, right, back])
    .toEqual([['a', undefined], [new Map([['b', undefined]])], ['c']]);
  near.left.close();
  near.right.close();
});

it('keeps early messages for all listeners that are added together, before later messages', async () => {
  const { near, far } = pair();
  const right = heard(far.right);
  near.left.send(1);
  near.right.send('arrived');
  await expect.poll(() => right).toEqual(['arrived']);
  const [first, second] = [heard(far.left), heard(far.left)];
  near.left.send(2);
  await expect
    .poll(() => [first, second])
    .toEqual([
      [1, 2],
      [1, 2],
    ]);
  near.left.close();
});

it('closes one channel at both ends, and leaves the others open', async () => {
  const { near, far } = pair();
  const right = heard(far.right);
  const end = closed(far.left);
  near.left.close();
  await end;
  near.left.send('late');
  near.right.send('still here');
  await expect.poll(() => right).toEqual(['still here']);
  // A listener that comes late hears of it, too.
  await closed(far.left);
});

it('closes every channel with the one below, even for calls that wait', async () => {
  const { near, far, below } = pair();
  serveCalls(far.left, { never: () => new Promise(() => undefined) });
  const waiting = new Caller(near.left).call('never');
  const all = [closed(far.left), closed(far.right)];
  below.close();
  await expect(waiting).rejects.toMatchObject({ code: 'relay_busy' });
  await Promise.all(all);
});
