import { once } from 'node:events';
import { expect, it, vi } from 'vitest';
import { FakeSocket } from '../../../test/support/fake-socket.js';
import { RequestConnections } from './request-connections.js';

const [NEAR, FAR] = ['192.0.2.0/24', '198.51.100.0/24'];

/** At most two connections. `add` opens one from a network. */
function atMostTwo() {
  const onCrowded = vi.fn<() => void>();
  const connections = new RequestConnections({ maxRequestConnections: 2, onCrowded });
  const add = (network: string): FakeSocket => {
    const socket = new FakeSocket();
    connections.add(socket.asSocket, network);
    return socket;
  };
  return { connections, onCrowded, add };
}

it('closes the oldest connection of the network with the most', () => {
  const { add, onCrowded } = atMostTwo();
  const [far, oldest, newest] = [add(FAR), add(NEAR), add(NEAR)];
  expect([far, oldest, newest].map(({ destroyed }) => destroyed)).toEqual([false, true, false]);
  expect(onCrowded).toHaveBeenCalledOnce();
});

it('does not count connections that have ended or are served', async () => {
  const { connections, add, onCrowded } = atMostTwo();
  const [ended, served] = [add(NEAR), add(NEAR)];
  ended.destroy();
  await once(ended, 'close');
  connections.served(served);
  const rest = [add(NEAR), add(NEAR)];
  expect([served, ...rest].map(({ destroyed }) => destroyed)).toEqual([false, false, false]);
  expect(onCrowded).not.toHaveBeenCalled();
});

it('closes one on request, and says whether there was one', () => {
  const { connections, add, onCrowded } = atMostTwo();
  expect(connections.closeCrowded()).toBe(false);
  const only = add(NEAR);
  expect([connections.closeCrowded(), only.destroyed]).toEqual([true, true]);
  expect([connections.closeCrowded(), onCrowded.mock.calls.length]).toEqual([false, 0]);
});

it('closes the rest at the end', () => {
  const { connections, add } = atMostTwo();
  const [one, other] = [add(NEAR), add(FAR)];
  connections.close();
  expect([one.destroyed, other.destroyed]).toEqual([true, true]);
});
