import { randomBytes } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import type { TLSSocket } from 'node:tls';
import { WebSocket, type ClientOptions } from 'ws';
import type { Identity } from '../../identity/identity.js';
import { PortalError } from '../../lib/errors.js';
import { deferred, within } from '../../lib/wait.js';
import { STATEMENTS } from '../../protocol/challenge.js';
import { decodeFromRelay, encode } from '../../protocol/decode.js';
import { CONTROL_SUBPROTOCOL, LIMITS, PATHS, PROTOCOL_VERSION } from '../../protocol/limits.js';
import type { FromAgent, FromRelay } from '../../protocol/messages.js';
import { solveWork, readWork, WORK_HEADER, type Work } from '../../protocol/work.js';
import { signChallenge } from './sign-challenge.js';
import { createConnectionTo, relayTls, destinationOf, type RelayEndpoint } from './relay-endpoint.js';
import { connectError } from './connect-error.js';
import { ControlChannel, describeClose, relayError, type Welcome } from './control.js';

export interface ControlOptions {
  readonly endpoint: RelayEndpoint;
  readonly identity: Identity;
  /** Identifies the agent process across reconnects. */
  readonly instance: string;
  readonly version: string;
  readonly signal: AbortSignal;
}

/**
 * Connects, has the relay prove its key, proves the identity, and resolves with the channel after the relay's `welcome`.
 * Throws `relay_untrusted` before it signs anything if this connection does not end at the trusted relay.
 */
export async function openControl(options: ControlOptions): Promise<ControlChannel> {
  const { endpoint, signal } = options;
  const url = new URL(PATHS.control, endpoint.url);
  url.protocol = 'wss:';
  let socket: TLSSocket | undefined;
  const ending = new AbortController();
  // The types of `ws` lack `closeTimeout`.
  const wsOptions: ClientOptions & { closeTimeout: number } = {
    perMessageDeflate: false,
    maxPayload: LIMITS.maxControlMessageBytes,
    handshakeTimeout: LIMITS.handshakeMs,
    closeTimeout: LIMITS.closeMs,
    followRedirects: false,
    createConnection: createConnectionTo(
      destinationOf(endpoint),
      (plain) => (socket = relayTls(endpoint, plain)),
      ending.signal,
    ) as never,
  };
  const ws = new WebSocket(url, [CONTROL_SUBPROTOCOL], wsOptions);
  const inbox = new Inbox(ws, endpoint.url);
  try {
    const welcome = await within(
      handshake(ws, inbox, { ...options, signal: ending.signal }, () => socket!),
      LIMITS.handshakeMs,
      `the handshake with ${endpoint.url}`,
      signal,
    );
    // A closed connection reports its state even while paused.
    if (ws.readyState !== WebSocket.OPEN)
      throw new PortalError('relay_unreachable', 'the relay closed the control channel');
    // From here on, only the channel listens.
    ws.removeAllListeners();
    // Through a tunnel, the remote address is not known.
    const address = (endpoint.via ? undefined : socket?.remoteAddress) ?? destinationOf(endpoint).host;
    const channel = new ControlChannel(ws, welcome, address, socket, endpoint.via);
    // In the next turn, once the caller listens to the channel.
    setImmediate(() => {
      for (const [data, isBinary] of inbox.rest) ws.emit('message', data, isBinary);
      ws.resume();
    });
    return channel;
  } catch (error) {
    ws.on('error', () => undefined);
    ws.terminate();
    ending.abort();
    throw connectError(error, endpoint);
  }
}

/** hello → challenge → prove → welcome. Pauses the WebSocket afterwards. */
async function handshake(
  ws: WebSocket,
  inbox: Inbox,
  { identity, instance, version, endpoint, signal }: ControlOptions,
  socket: () => TLSSocket,
): Promise<Welcome> {
  const say = (message: FromAgent): void => ws.send(encode(message));
  const nonce = randomBytes(16).toString('hex');
  await inbox.opened;
  const { work } = inbox;
  say({
    type: 'hello',
    protocol: PROTOCOL_VERSION,
    agent: { instance, version },
    address: identity.address,
    nonce,
    ...(work && { work: await solveWork(work, signal) }),
    understands: ['lease.unserved', 'lease.replicas', 'drain'],
  });
  const challenge = await inbox.next('challenge');
  const { signature, relayKey } = await signChallenge(challenge, {
    endpoint,
    identity,
    nonce,
    socket: socket(),
    statement: STATEMENTS.control,
  });
  say({ type: 'prove', signature });
  const welcome = await inbox.next('welcome');
  await endpoint.remember?.(relayKey);
  return { ...welcome, relayKey };
}

/** Listed explicitly, because the compiler cannot compare the union of all messages. */
interface Expected {
  challenge: FromRelay<'challenge'>;
  welcome: FromRelay<'welcome'>;
}

/** Reads the messages of a handshake one at a time. */
class Inbox {
  readonly opened: Promise<void>;
  /** The work that the relay requires first, once the connection is open. */
  work: Work | undefined;
  /** Messages that arrived after the last one, for the channel to read. */
  readonly rest: [data: Buffer, isBinary: boolean][] = [];
  readonly #ws: WebSocket;
  /** Rejects once the channel can no longer open. */
  readonly #failed = deferred<never>();
  #arrived = deferred<void>();

  constructor(ws: WebSocket, url: string) {
    this.#ws = ws;
    this.#failed.promise.catch(() => undefined);
    const fail = (error: unknown): void => this.#failed.reject(error);
    ws.once('error', fail);
    ws.once('upgrade', ({ headers }) => {
      try {
        this.work = readWork(headers[WORK_HEADER]);
      } catch (error) {
        fail(error);
      }
    });
    // No upgrade: for example, the relay is full.
    ws.once('unexpected-response', (_request, response) => void refusal(response, url).then(fail));
    ws.once('close', (_code, reason) =>
      fail(
        new PortalError(
          'relay_unreachable',
          `the relay closed the control channel ${describeClose(reason)}`.trim(),
        ),
      ),
    );
    ws.on('message', (data: Buffer, isBinary: boolean) => {
      this.rest.push([data, isBinary]);
      ws.pause();
      this.#arrived.resolve();
    });
    const opening = new Promise<void>((resolve) => ws.once('open', resolve));
    this.opened = Promise.race([opening, this.#failed.promise]);
  }

  /** The next message, which must have this type. Throws an error that the relay sends instead. */
  async next<T extends keyof Expected>(type: T): Promise<Expected[T]> {
    if (this.rest.length === 0) {
      this.#arrived = deferred<void>();
      this.#ws.resume();
      await Promise.race([this.#arrived.promise, this.#failed.promise]);
    }
    const [data, isBinary] = this.rest.shift()!;
    if (isBinary) throw new PortalError('protocol', 'control messages must be text');
    const message = decodeFromRelay(data);
    if (message.type === 'error') throw relayError(message);
    if ((message.type as string) !== type)
      throw new PortalError('protocol', `unexpected message ${message.type}`);
    return message as never;
  }
}

const MAX_REFUSAL_BYTES = 4_096;

/** The error for a refused upgrade: the relay's code, message and retry time if it sent them. */
async function refusal(response: IncomingMessage, url: string): Promise<PortalError> {
  const { statusCode = 0, headers } = response;
  const seconds = Number(headers['retry-after']);
  const retryAfterMs = seconds >= 0 ? seconds * 1_000 : undefined;
  let text = '';
  try {
    for await (const chunk of response) {
      text += String(chunk);
      if (text.length > MAX_REFUSAL_BYTES) break;
    }
  } catch {
    // Without a readable body, the status is the reason.
  }
  const said = readRefusal(text);
  if (said)
    return relayError({ type: 'error', ...said, ...(retryAfterMs !== undefined && { retryAfterMs }) });
  return new PortalError(
    'relay_unreachable',
    `${url} returned HTTP ${statusCode} instead of a control channel`,
    {
      ...(retryAfterMs !== undefined && { retryAfterMs }),
    },
  );
}

function readRefusal(text: string): { code: string; message: string } | undefined {
  try {
    const { code, message } = JSON.parse(text) as { code?: unknown; message?: unknown };
    if (typeof code === 'string' && typeof message === 'string')
      return { code, message: message.slice(0, 1000) };
  } catch {
    // For example the page of a proxy.
  }
  return undefined;
}
