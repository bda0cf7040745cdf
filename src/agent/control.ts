import { EventEmitter } from 'node:events';
import type { Socket } from 'node:net';
import { connect as tlsConnect, type ConnectionOptions } from 'node:tls';
import { WebSocket } from 'ws';
import type { Identity } from '../identity/identity.js';
import { asPortalError, ERRORS, PortalError, systemCode, type ErrorCode } from '../lib/errors.js';
import { deferred, within, type Deferred } from '../lib/wait.js';
import { checkChallenge } from '../protocol/challenge.js';
import { decodeFromRelay, encode } from '../protocol/decode.js';
import { CONTROL_SUBPROTOCOL, LIMITS, PATHS, PROTOCOL_VERSION, silenceMs } from '../protocol/limits.js';
import type { FromAgent, FromRelay } from '../protocol/messages.js';

/** How to reach a relay. */
export interface RelayEndpoint {
  readonly url: string;
  /** PEM of the CA to trust for it, in place of the system's. */
  readonly ca?: string;
}

export interface ControlOptions {
  readonly endpoint: RelayEndpoint;
  readonly identity: Identity;
  /** Which agent process this is, the same over all its reconnects. */
  readonly instance: string;
  readonly version: string;
  readonly signal: AbortSignal;
}

export type Welcome = FromRelay<'welcome'>;

interface ControlEvents {
  dial: [FromRelay<'dial'>];
  visit: [FromRelay<'visit'>];
  revoked: [FromRelay<'lease.revoked'>];
  /** The channel has ended; nothing follows. `reconnectAfterMs` when the relay asked for a pause. */
  closed: [error: PortalError, reconnectAfterMs: number | undefined];
}

/** A request without its id, which the channel gives. */
type Request = DistributiveOmit<Extract<FromAgent, { id: number }>, 'id'>;
type DistributiveOmit<T, K extends PropertyKey> = T extends unknown ? Omit<T, K> : never;

/** One authenticated control channel, from `welcome` to its end. */
export class ControlChannel extends EventEmitter<ControlEvents> {
  readonly welcome: Welcome;
  /** IP address of the relay that answered: data connections go to the same one. */
  readonly relayAddress: string;
  #rttMs: number | undefined;
  readonly #ws: WebSocket;
  readonly #requests = new Map<number, Deferred<FromRelay>>();
  #nextId = 1;
  #heardAt = Date.now();
  readonly #heartbeat: NodeJS.Timeout;
  #pongs = new Map<string, () => void>();
  #reconnectAfterMs: number | undefined;
  #closed = false;

  constructor(ws: WebSocket, welcome: Welcome, relayAddress: string) {
    super();
    this.#ws = ws;
    this.welcome = welcome;
    this.relayAddress = relayAddress;
    this.#heartbeat = setInterval(() => this.#beat(), welcome.heartbeatMs).unref();
    ws.on('message', (data: Buffer, isBinary) => this.#receive(data, isBinary));
    ws.on('ping', () => (this.#heardAt = Date.now()));
    ws.on('pong', (data) => {
      this.#heardAt = Date.now();
      this.#pongs.get(data.toString())?.();
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

  /** Round trip of the last heartbeat, milliseconds. */
  get rttMs(): number | undefined {
    return this.#rttMs;
  }

  /** Sends a request and waits (bounded) for its answer; an error answer is thrown with its code. */
  async request(message: Request, signal?: AbortSignal): Promise<FromRelay> {
    if (this.#closed) throw new PortalError('relay_unreachable', 'the control channel is closed');
    const id = this.#nextId++;
    const answer = deferred<FromRelay>();
    this.#requests.set(id, answer);
    try {
      this.#send({ ...message, id });
      return await within(answer.promise, LIMITS.requestMs, `the relay's answer to ${message.type}`, signal);
    } finally {
      this.#requests.delete(id);
    }
  }

  /** Whether the relay answers a ping within `ms`; one that does not is given up, so that coming back begins. */
  async check(ms: number): Promise<boolean> {
    if (this.#closed) return false;
    const sentAt = performance.now();
    const payload = `check ${this.#nextId++}`;
    const pong = new Promise<void>((resolve) => this.#pongs.set(payload, resolve));
    try {
      this.#ws.ping(payload);
      await within(pong, ms, 'the heartbeat');
      this.#rttMs = performance.now() - sentAt;
      return true;
    } catch {
      this.#end(new PortalError('relay_unreachable', `the relay did not answer within ${ms} ms`));
      return false;
    } finally {
      this.#pongs.delete(payload);
    }
  }

  /** Ends the channel in an orderly way. */
  close(): void {
    if (this.#ws.readyState === WebSocket.OPEN) this.#ws.close(1000);
    this.#end(new PortalError('aborted', 'the session was closed'));
  }

  #receive(data: Buffer, isBinary: boolean): void {
    this.#heardAt = Date.now();
    if (this.#closed) return;
    try {
      if (isBinary) throw new PortalError('protocol', 'control messages are text');
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
      case 'goaway':
        this.#reconnectAfterMs = message.reconnectAfterMs;
        return this.#end(new PortalError('shutting_down', message.reason));
      case 'lease.opened':
      case 'ok':
        return this.#requests.get(message.id)?.resolve(message);
      case 'error': {
        const failure = relayError(message);
        if (message.id === undefined) return this.#end(failure);
        return this.#requests.get(message.id)?.reject(failure);
      }
      default:
        throw new PortalError('protocol', `${message.type} is out of turn`);
    }
  }

  #beat(): void {
    if (Date.now() - this.#heardAt > silenceMs(this.welcome.heartbeatMs)) {
      this.#end(new PortalError('relay_unreachable', 'the relay went silent'));
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
    // An orderly close was sent before; everything else is cut, a frozen relay answers no close handshake.
    if (error.code !== 'aborted') this.#ws.terminate();
    else setTimeout(() => this.#ws.terminate(), 1_000).unref();
    this.emit('closed', error, this.#reconnectAfterMs);
  }
}

/** Connects, proves the identity, and resolves with the channel once the relay said `welcome`. */
export async function openControl(options: ControlOptions): Promise<ControlChannel> {
  const { endpoint, signal } = options;
  const url = new URL(PATHS.control, endpoint.url);
  url.protocol = 'wss:';
  let socket: Socket | undefined;
  const ws = new WebSocket(url, [CONTROL_SUBPROTOCOL], {
    perMessageDeflate: false,
    maxPayload: LIMITS.maxControlMessageBytes,
    handshakeTimeout: LIMITS.handshakeMs,
    followRedirects: false,
    ...(endpoint.ca === undefined ? {} : { ca: endpoint.ca }),
    // Our own connect, because ws does not tell which address answered.
    createConnection: ((connect: ConnectionOptions) => {
      socket = tlsConnect({ ...connect, ...serverNameOf(url) });
      socket.setNoDelay(true);
      return socket;
    }) as never,
  });
  try {
    const welcome = await within(
      handshake(ws, options),
      LIMITS.handshakeMs,
      `the handshake with ${endpoint.url}`,
      signal,
    );
    // From here on the channel listens alone.
    ws.removeAllListeners();
    return new ControlChannel(ws, welcome, socket?.remoteAddress ?? url.hostname);
  } catch (error) {
    ws.on('error', () => undefined);
    ws.terminate();
    throw connectError(error, endpoint.url);
  }
}

function serverNameOf(url: URL): { servername?: string } {
  return /^[\d.]+$|^\[/.test(url.hostname) ? {} : { servername: url.hostname };
}

/** hello → challenge → prove → welcome. */
function handshake(ws: WebSocket, options: ControlOptions): Promise<Welcome> {
  const { identity, instance, version, endpoint } = options;
  const authority = new URL(endpoint.url).host;
  return new Promise((resolve, reject) => {
    const say = (message: FromAgent): void => ws.send(encode(message));
    ws.once('error', reject);
    ws.once('close', (_code, reason) => {
      reject(
        new PortalError(
          'relay_unreachable',
          `the relay closed the control channel ${describeClose(reason)}`.trim(),
        ),
      );
    });
    ws.once('open', () => {
      say({
        type: 'hello',
        protocol: PROTOCOL_VERSION,
        agent: { instance, version },
        address: identity.address,
      });
    });
    ws.on('message', (data: Buffer) => {
      try {
        const message = decodeFromRelay(data);
        if (message.type === 'challenge') {
          // Checked before it is signed: a relay must not get a signature that opens another relay.
          checkChallenge(message.message, { address: identity.address, domain: authority, now: new Date() });
          say({ type: 'prove', signature: identity.sign(message.message) });
        } else if (message.type === 'welcome') resolve(message);
        else if (message.type === 'error') reject(relayError(message));
        else throw new PortalError('protocol', `${message.type} is out of turn`);
      } catch (error) {
        reject(asPortalError(error, 'protocol'));
      }
    });
  });
}

function describeClose(reason: Buffer): string {
  return reason.length > 0 ? `(${reason.toString().slice(0, 100)})` : '';
}

/** An `error` message as the error it stands for; a code this version does not know becomes `protocol`. */
function relayError({ code, message, retryAfterMs }: FromRelay<'error'>): PortalError {
  const known: ErrorCode = Object.hasOwn(ERRORS, code) ? (code as ErrorCode) : 'protocol';
  return new PortalError(known, message, {
    hint: ERRORS[known].remedy,
    ...(retryAfterMs === undefined ? {} : { retryAfterMs }),
  });
}

const UNTRUSTED = new Set([
  'UNABLE_TO_VERIFY_LEAF_SIGNATURE',
  'UNABLE_TO_GET_ISSUER_CERT_LOCALLY',
  'UNABLE_TO_GET_ISSUER_CERT',
  'SELF_SIGNED_CERT_IN_CHAIN',
  'DEPTH_ZERO_SELF_SIGNED_CERT',
  'CERT_HAS_EXPIRED',
  'CERT_SIGNATURE_FAILURE',
  'ERR_TLS_CERT_ALTNAME_INVALID',
]);

function connectError(error: unknown, url: string): PortalError {
  if (error instanceof PortalError && error.code !== 'internal') return error;
  const system = systemCode(error);
  const reason = asPortalError(error).message;
  if (system && UNTRUSTED.has(system)) {
    return new PortalError('relay_untrusted', `the certificate of ${url} is not trusted: ${reason}`, {
      cause: error,
      hint: ERRORS.relay_untrusted.remedy,
    });
  }
  return new PortalError('relay_unreachable', `${url} cannot be reached: ${system ?? reason}`, {
    cause: error,
  });
}
