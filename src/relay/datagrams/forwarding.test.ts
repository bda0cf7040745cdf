import { expect, it } from 'vitest';
import { deferred, type Deferred } from '../../lib/wait.js';
import { Drops } from '../../protocol/datagrams/drops.js';
import { ALONE, nodeLeft, type NodeMethods, type Nodes } from '../nodes/nodes.js';
import { PacketForwarding, type ForwardedPacket } from './forwarding.js';

interface Call {
  readonly node: string;
  readonly method: string;
  readonly packets: readonly ForwardedPacket[];
  readonly done: Deferred<void>;
}

/** Node `w1` of three, and the calls that it makes. */
function forwarding(drops = new Drops(), sharesPorts = true) {
  const calls: Call[] = [];
  const nodes: Nodes = {
    others: ['w2', 'w3'],
    call: (node, method, packets) => {
      const call = { node, method, packets: packets as ForwardedPacket[], done: deferred<void>() };
      calls.push(call);
      return call.done.promise;
    },
    tell: () => undefined,
    serve: () => undefined,
    onLeft: () => undefined,
  };
  return { calls, drops, own: new PacketForwarding({ node: 'w1', nodes, sharesPorts, drops }) };
}

/** The key of an association of a node. */
function associationAt(node: string): string {
  const association = Buffer.alloc(8, 7);
  new PacketForwarding({ node, nodes: ALONE, sharesPorts: true, drops: new Drops() }).mark(association);
  return association.toString('latin1');
}

const packet = (port: number): ForwardedPacket => ({
  packet: Buffer.from('sealed'),
  address: '192.0.2.1',
  port,
  socket: 0,
});

const portsOf = ({ packets }: Call): number[] => packets.map(({ port }) => port);

it('forwards a packet to the node that issued its association, and no other', () => {
  const { own, calls } = forwarding();
  expect(own.forward(associationAt('w3'), packet(1))).toBe(true);
  expect(calls.map(({ node, packets }) => [node, packets])).toEqual([['w3', [packet(1)]]]);
  for (const unknown of [associationAt('w1'), associationAt('w9')])
    expect(own.forward(unknown, packet(2))).toBe(false);
  expect(calls).toHaveLength(1);
});

it('sends the packets that arrive meanwhile together, in order, once the node has taken the previous ones', async () => {
  const { own, calls } = forwarding();
  const association = associationAt('w2');
  for (const port of [1, 2, 3]) own.forward(association, packet(port));
  own.forward(associationAt('w3'), packet(9));
  expect(calls.map(portsOf)).toEqual([[1], [9]]);
  calls[0]!.done.resolve();
  await expect.poll(() => calls.map(portsOf)).toEqual([[1], [9], [2, 3]]);
});

it('drops packets beyond a limit, and starts again after a node has failed', async () => {
  const { own, calls, drops } = forwarding();
  const association = associationAt('w2');
  for (let port = 1; port <= 1_100; port++) own.forward(association, packet(port));
  expect(drops.counts()).toEqual({ busy: 75 });
  calls[0]!.done.reject(nodeLeft('w2'));
  await expect.poll(() => calls.length).toBe(2);
  expect(portsOf(calls[1]!).at(-1)).toBe(1_025);
  calls[1]!.done.resolve();
  await new Promise(setImmediate);
  own.forward(association, packet(7));
  expect(calls.map(portsOf).at(-1)).toEqual([7]);
});

it('takes the packets that arrive at other nodes, and sends the replies of other nodes', () => {
  let served: NodeMethods = {};
  const nodes = { others: ['w2'], serve: (methods: NodeMethods) => (served = methods) } as unknown as Nodes;
  const taken: [ForwardedPacket, string][] = [];
  const sent: ForwardedPacket[] = [];
  new PacketForwarding({ node: 'w1', nodes, sharesPorts: false, drops: new Drops() }).serve(
    (...one) => taken.push(one),
    (one) => sent.push(one),
  );
  void served['packets']!('w2', ...([[packet(1), packet(2)]] as never[]));
  void served['replies']!('w2', ...([[packet(3)]] as never[]));
  expect(taken).toEqual([
    [packet(1), 'w2'],
    [packet(2), 'w2'],
  ]);
  expect(sent).toEqual([packet(3)]);
});

it('sends replies through the node where the packets arrived, unless the nodes share their sockets', () => {
  const { own, calls } = forwarding(new Drops(), false);
  expect(own.exitOf('w2')).toBe('w2');
  expect(own.reply('w2', packet(1))).toBe(true);
  expect(calls.map(({ node, method, packets }) => [node, method, packets])).toEqual([
    ['w2', 'replies', [packet(1)]],
  ]);
  expect(forwarding().own.exitOf('w2')).toBeUndefined();
});
