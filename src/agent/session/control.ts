import { EventEmitter } from 'node:events';
import type { TLSSocket } from 'node:tls';
import { WebSocket } from 'ws';
import { ERRORS } from '../../lib/error-codes.js';
import { asPortalError, PortalError, type ErrorCode } from '../../lib/errors.js';
import { intervalAfterInput, LastHeard } from '../../lib/stalls.js';
import { deferred, within, type Deferred } from '../../lib/wait.js';
import { exportDatagramKey } from '../../protocol/datagrams/exporter.js';
import { decodeFromRelay, encode } from '../../protocol/decode.js';
import { LIMITS, silenceMs } from '../../protocol/limits.js';
import type { FromAgent, FromRelay } from '../../protocol/messages.js';
import type { Tunnel } from './relay-endpoint.js';

export interface Welcome extends Omit<FromRelay<'welcome'>, 'type'> {
  /** Address of the relay's own key, as proven by the relay. */
  readonly relayKey: string;
}

interface ControlEvents {
  dial: [FromRelay<'dial'>];
  visit: [FromRelay<'visit'>];
  revoked: [FromRelay<'lease.revoked'>];
  unserved: [FromRelay<'lease.unserved'>];
  replicas: [FromRelay<'lease.replicas'>];
  drain: [FromRelay<'drain'>];
  /** The channel has ended. `reconnectAfterMs` is set when the relay requested a pause. */
  closed: [error: PortalError, reconnectAfterMs: number | undefined];
}

interface Ping {
  readonly payload: string;
  readonly sentAt: number;
  readonly pong: Deferred<void>;
}

/** A request without its id, which the channel assigns. */
type Request = DistributiveOmit<Extract<FromAgent, { id: number }>, 'id'>;
type DistributiveOmit<T, K extends PropertyKey> = T extends unknown ? Omit<T, K> : never;

/** An authenticated control channel, from `welcome` to its end. */
export class ControlChannel extends EventEmitter<ControlEvents> {
  readonly welcome: Welcome;
  /** IP address that the relay was reached at. Data connections go to the same address. */
  readonly relayAddress: string;
  readonly via: Tunnel | undefined;
  /** This machine's address, if known. */
  readonly localAddress: string | undefined;
  #rttMs: number | undefined;
  readonly #tls: TLSSocket | undefined;
  readonly #ws: WebSocket;
  readonly #requests = new Map<number, Deferred<FromRelay>>();
  #nextId = 1;
  readonly #heard = new LastHeard();
  readonly #heartbeat: NodeJS.Timeout;
  /** The ping that waits for its pong. All callers share it: ws ends a connection that has many unanswered pings. */
  #ping: Ping | undefined;
  #reconnectAfterMs: number | undefined;
  #closed = false;

  /**
   * `tls` is the session below `ws`, from which datagrams derive their keys. `via` is the tunnel to this relay, and to
   * everything else at the relay.
   */
  constructor(ws: WebSocket, welcome: Welcome, relayAddress: string, tls?: TLSSocket, via?: Tunnel) {
    super();
    this.via = via;
    // Without the zone of a link-local address. Read now, because it is not available after the connection has ended.
    this.localAddress = tls?.localAddress?.replace(/%.*/, '');
    this.#tls = tls;
    this.#ws = ws;
    this.welcome = welcome;
    this.relayAddress = relayAddress;
    this.#heartbeat = intervalAfterInput(() => this.#beat(), welcome.heartbeatMs);
    ws.on('message', (data: Buffer, isBinary) => this.#receive(data, isBinary));
    ws.on('ping', () => this.#heard.now());
    ws.on('pong', (data) => {
      this.#heard.now();
      this.#receivePong(data.toString());
    });
    ws.on('error', (error) => this.#end(asPortalError(error, 'relay_unreachable')));
    ws.on('close', (_code, reason) => {
      this.#end(
        new PortalError(
          'relay_unreachable',
          `the relay closed the control channel ${describeClose(reason)}`.trim(),
        ),
      );
    });
  }

  get closed(): boolean {
    return this.#closed;
  }

  /** Round-trip time of the last heartbeat in milliseconds. */
  get rttMs(): number | undefined {
    return this.#rttMs;
  }

  /** Keying material for one datagram association. Undefined if the session has none. */
  exportKey(association: Buffer): Buffer | undefined {
    return this.#tls && exportDatagramKey(this.#tls, association);
  }

  /** Sends a request and waits for the reply, with a timeout. Throws the error of an error reply, with its code. */
  async request(message: Request, signal?: AbortSignal): Promise<FromRelay> {
    if (this.#closed) throw new PortalError('relay_unreachable', 'the control channel is closed');
    const id = this.#nextId++;
    const response = deferred<FromRelay>();
    this.#requests.set(id, response);
    try {
      this.#send({ ...message, id });
      return await within(response.promise, LIMITS.requestMs, `the relay's reply to ${message.type}`, signal);
    } finally {
      this.#requests.delete(id);
    }
  }

  /** Whether the relay responds to a ping within `ms`. If it does not, the channel ends, so that the session reconnects. */
  async check(ms: number): Promise<boolean> {
    if (this.#closed) return false;
    if (await this.isResponding(ms)) return true;
    this.#end(new PortalError('relay_unreachable', `the relay did not respond within ${ms} ms`));
    return false;
  }

  /** The same, without ending the channel. */
  async isResponding(ms: number): Promise<boolean> {
    if (this.#closed) return false;
    try {
      await within(this.#sharedPing().pong.promise, ms, 'the heartbeat');
      return true;
    } catch {
      return false;
    }
  }

  /** Whether no request waits for a reply. */
  get isIdle(): boolean {
    return this.#requests.size === 0;
  }

  /** Another channel took over. This one closes cleanly and still reads what the relay sends before it agrees. */
  retire(): void {
    if (!this.#closed && this.#ws.readyState === WebSocket.OPEN) this.#ws.close(1000);
    const agreed = setTimeout(() => this.#end(RETIRED()), LIMITS.closeMs).unref();
    this.once('closed', () => clearTimeout(agreed));
  }

  /** Closes the channel in order. */
  close(): void {
    if (this.#ws.readyState === WebSocket.OPEN) this.#ws.close(1000);
    this.#end(new PortalError('aborted', 'the session was closed'));
  }

  #sharedPing(): Ping {
    if (this.#ping) return this.#ping;
    const payload = `check ${this.#nextId++}`;
    const sentAt = performance.now();
    this.#ws.ping(payload);
    return (this.#ping = { payload, sentAt, pong: deferred() });
  }

  #receivePong(payload: string): void {
    const ping = this.#ping;
    if (ping?.payload !== payload) return;
    this.#ping = undefined;
    this.#rttMs = performance.now() - ping.sentAt;
    ping.pong.resolve();
  }

  #receive(data: Buffer, isBinary: boolean): void {
    this.#heard.now();
    if (this.#closed) return;
    try {
      if (isBinary) throw new PortalError('protocol', 'control messages must be text');
      this.#handle(decodeFromRelay(data));
    } catch (error) {
      this.#end(asPortalError(error, 'protocol'));
    }
  }

  #handle(message: FromRelay): void {
    switch (message.type) {
      case 'dial':
        return void this.emit('dial', message);
      case 'visit':
        return void this.emit('visit', message);
      case 'lease.revoked':
        return void this.emit('revoked', message);
      case 'lease.unserved':
        return void this.emit('unserved', message);
      case 'lease.replicas':
        return void this.emit('replicas', message);
      case 'drain':
        return void this.emit('drain', message);
      case 'goaway':
        this.#reconnectAfterMs = message.reconnectAfterMs;
        return this.#end(new PortalError('shutting_down', message.reason));
      case 'lease.opened':
      case 'datagrams.opened':
      case 'hop.opened':
      case 'ok':
        return this.#requests.get(message.id)?.resolve(message);
      case 'error': {
        const failure = relayError(message);
        if (message.id === undefined) return this.#end(failure);
        return this.#requests.get(message.id)?.reject(failure);
      }
      default:
        throw new PortalError('protocol', `unexpected message ${message.type}`);
    }
  }

  #beat(): void {
    if (this.#closed) return;
    if (this.#heard.silentMs > silenceMs(this.welcome.heartbeatMs)) {
      this.#end(new PortalError('relay_unreachable', 'the relay stopped responding'));
      return;
    }
    void this.check(silenceMs(this.welcome.heartbeatMs));
  }

  #send(message: FromAgent): void {
    this.#ws.send(encode(message));
  }

  #end(error: PortalError): void {
    if (this.#closed) return;
    this.#closed = true;
    clearInterval(this.#heartbeat);
    for (const request of this.#requests.values()) request.reject(error);
    // In order only if Portal closed it. Otherwise cut the connection, because a frozen relay never completes the
    // close handshake.
    if (error.code !== 'aborted') this.#ws.terminate();
    else setTimeout(() => this.#ws.terminate(), 1_000).unref();
    this.emit('closed', error, this.#reconnectAfterMs);
  }
}

const RETIRED = (): PortalError => new PortalError('relay_unreachable', 'the channel was replaced');

/** The relay's reason for the close, in brackets, if there is one. */
export function describeClose(reason: Buffer): string {
  return reason.length > 0 ? `(${reason.toString().slice(0, 100)})` : '';
}

/** Converts an `error` message to an error. An unknown code becomes `protocol`. */
export function relayError({ code, message, retryAfterMs }: FromRelay<'error'>): PortalError {
  const known: ErrorCode = Object.hasOwn(ERRORS, code) ? (code as ErrorCode) : 'protocol';
  // No hint from the table: the relay's message is more specific.
  return new PortalError(known, message, retryAfterMs === undefined ? {} : { retryAfterMs });
}
