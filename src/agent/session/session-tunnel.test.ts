import type { Socket } from 'node:net';
import { describe, expect, it } from 'vitest';
import { PortalError } from '../../lib/errors.js';
import { SessionTunnel } from './session-tunnel.js';

const SOCKET = {} as Socket;
const working = { open: () => Promise.resolve(SOCKET) };
const lost = new PortalError('relay_unreachable', 'no response');

describe('a connection through a session', () => {
  it('waits for the session', async () => {
    const tunnel = new SessionTunnel();
    const [ready, opening] = [tunnel.ready(), tunnel.open('relay.example', 443, 60_000)];
    tunnel.opened(working, { moves: false });
    await ready;
    expect(await opening).toBe(SOCKET);
  });

  it('fails with the session, and works again with the next one', async () => {
    const tunnel = new SessionTunnel();
    const opening = tunnel.open('relay.example', 443, 60_000);
    tunnel.failed(lost);
    await expect(opening).rejects.toBe(lost);
    tunnel.opened(working, { moves: false });
    expect(await tunnel.open('relay.example', 443, 60_000)).toBe(SOCKET);
  });

  it('that times out fails with the reason why there is no session', async () => {
    const tunnel = new SessionTunnel();
    tunnel.failed(lost);
    await expect(tunnel.open('relay.example', 443, 1)).rejects.toBe(lost);
  });

  it('fails once the session is closed', async () => {
    const tunnel = new SessionTunnel();
    tunnel.opened(working, { moves: false });
    tunnel.close(lost);
    await expect(tunnel.open('relay.example', 443, 60_000)).rejects.toBe(lost);
  });
});

describe('connections are asked to move', () => {
  it.each([
    ['when a channel replaces another one', true, undefined],
    ['when a session follows that of a relay that shut down', false, 'shutting_down'],
  ] as const)('%s', (_, moves, code) => {
    const tunnel = new SessionTunnel();
    tunnel.opened(working, { moves: false });
    const moved = tunnel.moved();
    if (code) tunnel.ended(new PortalError(code, 'the session ended'));
    expect(moved.aborted).toBe(false);
    tunnel.opened(working, { moves });
    expect([moved.aborted, tunnel.moved().aborted]).toEqual([true, false]);
  });

  it('not after a lost session, because their relay has lost them', () => {
    const tunnel = new SessionTunnel();
    tunnel.opened(working, { moves: false });
    const moved = tunnel.moved();
    tunnel.ended(lost);
    tunnel.opened(working, { moves: false });
    expect(moved.aborted).toBe(false);
  });
});
