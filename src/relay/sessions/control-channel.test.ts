import { EventEmitter } from 'node:events';
import { expect, it, vi } from 'vitest';
import type { WebSocket } from 'ws';
import { PortalError } from '../../lib/errors.js';
import { silent } from '../../lib/logger.js';
import { LIMITS } from '../../protocol/limits.js';
import { ControlChannel, type ControlChannelEvents } from './control-channel.js';

/** A WebSocket without a network. The test plays the agent. */
class FakeWebSocket extends EventEmitter {
  readonly OPEN = 1;
  readyState = 1;
  bufferedAmount = 0;
  readonly sent: unknown[] = [];
  readonly pause = vi.fn<() => void>();
  readonly resume = vi.fn<() => void>();
  readonly terminate = vi.fn<() => void>();
  readonly close = vi.fn<(code: number, reason: string) => void>();

  send(text: string): void {
    this.sent.push(JSON.parse(text));
  }

  /** A message of the agent. */
  says(message: object | string, isBinary = false): void {
    const text = typeof message === 'string' ? message : JSON.stringify(message);
    this.emit('message', Buffer.from(text), isBinary);
  }
}

function channel() {
  const ws = new FakeWebSocket();
  const events = {
    onMessage: vi.fn<ControlChannelEvents['onMessage']>(),
    onInvalid: vi.fn<ControlChannelEvents['onInvalid']>(),
    onClosed: vi.fn<ControlChannelEvents['onClosed']>(),
    log: () => silent,
  };
  return { ws, events, channel: new ControlChannel(ws as unknown as WebSocket, events) };
}

const CLOSE_LEASE = { type: 'lease.close', id: 1, lease: 'L' } as const;

it('reads messages until it closes', () => {
  const { ws, events, channel: made } = channel();
  ws.says(CLOSE_LEASE);
  expect(events.onMessage).toHaveBeenCalledExactlyOnceWith(CLOSE_LEASE);
  made.close();
  ws.says(CLOSE_LEASE);
  ws.says('garbage');
  expect([events.onMessage.mock.calls.length, events.onInvalid.mock.calls.length]).toEqual([1, 0]);
});

it.each([
  ['binary', (ws: FakeWebSocket) => ws.says(CLOSE_LEASE, true)],
  ['malformed', (ws: FakeWebSocket) => ws.says('garbage')],
  ['unknown', (ws: FakeWebSocket) => ws.says({ type: 'nonsense' })],
])('reports a %s message as invalid', (_how, say) => {
  const { ws, events } = channel();
  say(ws);
  expect(events.onMessage).not.toHaveBeenCalled();
  expect(events.onInvalid).toHaveBeenCalledExactlyOnceWith(expect.objectContaining({ code: 'protocol' }));
});

it('reports a message that is not allowed now', () => {
  const { ws, events } = channel();
  const error = new PortalError('protocol', 'not now');
  events.onMessage.mockImplementation(() => {
    throw error;
  });
  ws.says(CLOSE_LEASE);
  expect(events.onInvalid).toHaveBeenCalledExactlyOnceWith(error);
});

it('ends when the agent does not read', () => {
  const { ws, channel: made } = channel();
  made.send({ type: 'ok', id: 1 });
  ws.bufferedAmount = LIMITS.maxControlBacklogBytes + 1;
  made.send({ type: 'ok', id: 2 });
  expect(ws.sent).toEqual([{ type: 'ok', id: 1 }]);
  expect(ws.terminate).toHaveBeenCalledOnce();
});

it('stops reading while too many requests have no response', () => {
  const { ws, channel: made } = channel();
  for (let one = 1; one < LIMITS.maxRequestsInFlight; one++) made.requestBegan();
  expect(ws.pause).not.toHaveBeenCalled();
  made.requestBegan();
  made.requestBegan();
  expect(ws.pause).toHaveBeenCalledOnce();
  made.requestEnded();
  expect(ws.resume).not.toHaveBeenCalled();
  made.requestEnded();
  expect(ws.resume).toHaveBeenCalledOnce();
});

it.each([
  ['protocol', 1002, 'protocol'],
  ['unauthorized', 1008, 'unauthorized'],
  ['internal', 1011, 'internal'],
] as const)('says %s before it closes with %i', (code, close, reason) => {
  const { ws, channel: made } = channel();
  made.reject(new PortalError(code, 'why'));
  expect(ws.sent).toEqual([expect.objectContaining({ type: 'error', code: reason })]);
  expect(ws.close).toHaveBeenCalledExactlyOnceWith(close, reason);
});

it('sends nothing while the WebSocket closes', () => {
  const { ws, channel: made } = channel();
  ws.readyState = 2;
  made.send({ type: 'ok', id: 1 });
  expect(ws.sent).toEqual([]);
});
