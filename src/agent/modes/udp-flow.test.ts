import { expect, it } from 'vitest';
import { parseTarget } from '../../net/target/target.js';
import { Drops } from '../../protocol/datagrams/drops.js';
import { UdpFlow } from './udp-flow.js';

const PROBE = Buffer.from('probe');

/** A flow that opens no socket, because a unix socket receives no datagrams. */
function place({ isAllowed = true } = {}) {
  const drops = new Drops();
  const failures: unknown[] = [];
  let [ends, replyEnds] = [0, 0];
  const gate = { isOpen: isAllowed };
  const reply = { send: () => undefined, end: () => replyEnds++ };
  const flow = new UdpFlow(reply, {
    mayEnter: () => gate.isOpen,
    target: () => parseTarget('unix:/tmp/none.sock'),
    fromAnyPort: () => false,
    isProbe: (payload) => payload.equals(PROBE),
    drops,
    received: () => undefined,
    replied: () => undefined,
    failed: (error) => failures.push(error),
    ended: () => ends++,
  });
  return { flow, reply, gate, drops, failures, ends: () => [ends, replyEnds] };
}

it('drops datagrams of a visitor that the gate rejects, until the gate opens', () => {
  const { flow, gate, drops } = place({ isAllowed: false });
  flow.deliver(Buffer.from('a'));
  expect(drops.counts()).toEqual({ refused: 1 });
  expect(flow.hasTarget).toBe(false);
  gate.isOpen = true;
  flow.review();
  flow.deliver(Buffer.from('b'));
  expect(flow.hasTarget).toBe(true);
});

it('ends if its socket cannot be opened', () => {
  const { flow, drops, failures, ends } = place();
  flow.deliver(Buffer.from('a'));
  expect(failures).toMatchObject([{ code: 'internal' }]);
  expect([flow.ended, ends()]).toEqual([true, [1, 1]]);
  flow.deliver(Buffer.from('b'));
  expect(drops.counts()).toMatchObject({ no_flow: 1 });
});

it('ends with a probe, and not by an earlier reply path', () => {
  const { flow, reply, ends } = place();
  flow.reply = { ...reply };
  flow.end(reply);
  expect(flow.ended).toBe(false);
  flow.deliver(PROBE);
  expect([flow.ended, ends()]).toEqual([true, [1, 1]]);
});
