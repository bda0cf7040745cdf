import type { WebSocket } from 'ws';
import { asPortalError, PortalError } from '../../lib/errors.js';
import type { Logger } from '../../lib/logger.js';
import { decodeFromAgent, encode } from '../../protocol/decode.js';
import { LIMITS } from '../../protocol/limits.js';
import type { FromAgent, FromRelay } from '../../protocol/messages.js';
import { Liveness } from './liveness.js';
import { wireError } from './wire-error.js';

export interface ControlChannelEvents {
  /** Called with each message, until `close`. Throws if the message is not allowed now. */
  readonly onMessage: (message: FromAgent) => void;
  /** Called when a message is invalid or not allowed. */
  readonly onInvalid: (error: PortalError) => void;
  readonly onClosed: () => void;
  /** The log of the session, which may change. */
  readonly log: () => Logger;
}

/** WebSocket close codes (RFC 6455 §7.4.1). The reason is one of our error codes. */
const CLOSE = { goingAway: 1001, protocol: 1002, refused: 1008, fault: 1011 } as const;

/** The messages of one control channel. Ends a channel whose agent does not read or respond, and slows down one that asks too much. */
export class ControlChannel {
  readonly #ws: WebSocket;
  readonly #events: ControlChannelEvents;
  readonly #liveness: Liveness;
  #requests = 0;
  #isClosed = false;

  constructor(ws: WebSocket, events: ControlChannelEvents) {
    this.#ws = ws;
    this.#events = events;
    this.#liveness = new Liveness(ws);
    ws.on('message', (data: Buffer, isBinary) => this.#receive(data, isBinary));
    ws.on('error', (error) => events.log().debug({ err: error }, 'control channel error'));
    ws.on('close', () => events.onClosed());
  }

  /** Milliseconds since the last data from the agent. */
  get silentMs(): number {
    return this.#liveness.silentMs;
  }

  /** Whether the agent responds to a ping within `ms`. */
  responds(ms: number): Promise<boolean> {
    return this.#liveness.responds(ms);
  }

  /** Pings every `heartbeatMs` from now on, and ends the channel when the agent is silent for too long. */
  startHeartbeat(heartbeatMs: number): void {
    this.#liveness.start(heartbeatMs, () => {
      this.#events.log().info({}, 'agent timed out');
      this.#ws.terminate();
    });
  }

  send(message: FromRelay): void {
    if (this.#ws.readyState !== this.#ws.OPEN) return;
    if (this.#ws.bufferedAmount > LIMITS.maxControlBacklogBytes) {
      this.#events.log().warn({}, 'agent does not read its control channel');
      this.#ws.terminate();
      return;
    }
    this.#ws.send(encode(message));
  }

  /** Call when the response to a request begins. At the limit, stops reading: TCP slows the agent down. */
  requestBegan(): void {
    if (++this.#requests === LIMITS.maxRequestsInFlight) this.#ws.pause();
  }

  /** Call after the response. */
  requestEnded(): void {
    if (this.#requests-- === LIMITS.maxRequestsInFlight) this.#ws.resume();
  }

  /** Sends `error` to the agent, and starts to close the channel. */
  reject(error: PortalError): void {
    const wire = wireError(error);
    const { code } = wire;
    this.send({ type: 'error', ...wire });
    const close = code === 'protocol' ? 'protocol' : code === 'internal' ? 'fault' : 'refused';
    this.#ws.close(CLOSE[close], code);
  }

  /** Starts to close the channel, because the relay shuts down. */
  goAway(): void {
    this.#ws.close(CLOSE.goingAway, 'shutting_down');
  }

  /** Ends the connection now. */
  terminate(): void {
    this.#ws.terminate();
  }

  /** Ignores later messages, and sends no more pings. Earlier messages still reach the agent. */
  close(): void {
    this.#isClosed = true;
    this.#liveness.close();
  }

  #receive(data: Buffer, isBinary: boolean): void {
    this.#liveness.heard();
    if (this.#isClosed) return;
    try {
      if (isBinary) throw new PortalError('protocol', 'control messages must be text');
      this.#events.onMessage(decodeFromAgent(data));
    } catch (error) {
      this.#events.onInvalid(asPortalError(error));
    }
  }
}
