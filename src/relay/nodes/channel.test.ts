import { expect, it } from 'vitest';
import { channelPair } from '../../../test/support/channel.js';
import { PortalError } from '../../lib/errors.js';
import { ChannelNodes } from './channel.js';
import { Switchboard } from './switchboard.js';

/** Nodes with these names, each as in a process of its own. */
async function nodes<N extends string>(...names: N[]) {
  const switchboard = new Switchboard();
  const join = (name: string) => {
    const [near, far] = channelPair();
    switchboard.connect(name, far);
    return Object.assign(new ChannelNodes(near), { end: () => near.close() });
  };
  const all = Object.fromEntries(names.map((name) => [name, join(name)])) as Record<
    N,
    ReturnType<typeof join>
  >;
  for (const name of names)
    await expect
      .poll(() => [...all[name].others].toSorted())
      .toEqual(names.filter((one) => one !== name).toSorted());
  return { ...all, join };
}

it('calls methods of another node, which hears who calls', async () => {
  const { w1, w2, w3 } = await nodes('w1', 'w2', 'w3');
  w2.serve({ greet: (from: string, name: string) => `${from} greets ${name}` });
  w3.serve({ greet: () => Promise.reject(new PortalError('name_taken', 'taken')) });
  expect(await w1.call('w2', 'greet', 'you')).toBe('w1 greets you');
  expect(await w3.call('w2', 'greet', 'all')).toBe('w3 greets all');
  await expect(w1.call('w3', 'greet')).rejects.toMatchObject({ code: 'name_taken', message: 'taken' });
  for (const node of [w1, w2, w3]) node.end();
});

it('keeps the order of messages and calls between two nodes', async () => {
  const { w1, w2 } = await nodes('w1', 'w2');
  const log: unknown[] = [];
  w2.serve({ note: (_from: string, what: unknown) => void log.push(what), log: () => [...log] });
  w1.tell('w2', 'note', 1);
  w1.tell('w2', 'note', new Uint8Array([2]));
  expect(await w1.call('w2', 'log')).toEqual([1, new Uint8Array([2])]);
  for (const node of [w1, w2]) node.end();
});

it('lets calls wait for a node that is starting', async () => {
  const { w1, w2 } = await nodes('w1', 'w2');
  const early = w1.call('w2', 'late');
  const never = w1.call('w2', 'never');
  w2.serve({ late: () => 'served', now: () => 'now' });
  expect(await w1.call('w2', 'now')).toBe('now');
  w2.started();
  expect(await early).toBe('served');
  await expect(never).rejects.toMatchObject({ code: 'internal', message: 'no such method: never' });
  for (const node of [w1, w2]) node.end();
});

it('rejects calls to a node that ends, and tells the others about it', async () => {
  const { w1, w2, w3, join } = await nodes('w1', 'w2', 'w3');
  const left: string[] = [];
  w1.onLeft((node) => left.push(node));
  w2.serve({ never: () => new Promise(() => undefined) });
  const pending = w1.call('w2', 'never');
  w2.end();
  await expect(pending).rejects.toMatchObject({
    code: 'relay_busy',
    message: 'node w2 of this relay does not run',
  });
  expect(left).toEqual(['w2']);
  expect([...w1.others]).toEqual(['w3']);
  await expect(w1.call('w2', 'never')).rejects.toMatchObject({ code: 'relay_busy' });
  w1.tell('w2', 'never');
  // A new node has another name.
  const w4 = join('w4');
  w4.serve({ name: () => 'w4' });
  await expect.poll(() => [...w3.others].toSorted()).toEqual(['w1', 'w4']);
  expect(await w1.call('w4', 'name')).toBe('w4');
  for (const node of [w1, w3, w4]) node.end();
});

it('loses every other node with the main process', async () => {
  const { w1, w2 } = await nodes('w1', 'w2');
  const left = new Promise((resolve) => w1.onLeft(resolve));
  w1.end();
  expect(await left).toBe('w2');
  expect([...w1.others]).toEqual([]);
  w2.end();
});
