import { randomUUID } from 'node:crypto';
import { connect as tcpConnect, type Socket } from 'node:net';
import { connect as tlsConnect, TLSSocket, type SecureVersion } from 'node:tls';
import { onTestFinished } from 'vitest';
import { WebSocket, type ClientOptions } from 'ws';
import type { Identity } from '../../src/identity/identity.js';
import { generateIdentity } from '../../src/identity/keys.js';
import { systemCode } from '../../src/lib/errors.js';
import { deferred } from '../../src/lib/wait.js';
import { channelOf } from '../../src/protocol/channel.js';
import { CONTROL_SUBPROTOCOL, PROTOCOL_VERSION } from '../../src/protocol/limits.js';
import { showTicket } from '../../src/protocol/ticket.js';
import { solveWork, readWork, WORK_HEADER, type Work } from '../../src/protocol/work.js';
import type { FromRelay, WireCarrier } from '../../src/protocol/messages.js';
import { buildClientHello, intoRecords } from '../support/client-hello.js';
import type { TestRelay } from '../support/world.js';

/** Handmade peers of a relay, which can misbehave: connections, and agents. */

type At = Pick<TestRelay, 'port' | 'url'> & { readonly ca: Pick<TestRelay['ca'], 'certificatePem'> };

interface HalfOpen {
  /** Options of TLS. */
  readonly maxVersion?: SecureVersion;
  /** Whether it keeps its side open after the other side has ended. */
  readonly allowHalfOpen?: boolean;
  /** A loopback address to connect from. To a relay, each is a separate network. */
  readonly localAddress?: string;
}

/** A connection that records its received bytes and how it ended. */
export interface Line {
  readonly socket: Socket;
  /** Everything received so far. */
  readonly received: () => Buffer;
  /** Resolves once the received bytes match `match`. Rejects when the connection ends first. */
  until(match: string | ((received: Buffer) => boolean)): Promise<Buffer>;
  /** Resolves when both directions are closed: `end` if in order, else with the system's error code. */
  readonly closed: Promise<{ how: string; received: Buffer }>;
}

export function line(socket: Socket): Line {
  const chunks: Buffer[] = [];
  const lookers = new Set<() => void>();
  const end = deferred<{ how: string; received: Buffer }>();
  let how = 'end';
  const received = (): Buffer => Buffer.concat(chunks);
  socket.on('data', (chunk: Buffer) => {
    chunks.push(chunk);
    for (const look of lookers) look();
  });
  socket.on('error', (error) => (how = systemCode(error) ?? error.message));
  socket.on('close', () => end.resolve({ how, received: received() }));
  onTestFinished(() => {
    socket.destroy();
  });
  return {
    socket,
    received,
    closed: end.promise,
    until: (match) => {
      const matches = typeof match === 'string' ? (all: Buffer) => all.includes(match) : match;
      return new Promise((resolve, reject) => {
        const look = (): void => {
          const all = received();
          if (!matches(all)) return;
          lookers.delete(look);
          resolve(all);
        };
        lookers.add(look);
        look();
        void end.promise.then(() =>
          reject(new Error(`closed (${how}) after ${received().toString('latin1')}`)),
        );
      });
    },
  };
}

/** Polls, once per turn of the event loop, for a condition without an event. */
export async function settled(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise(setImmediate);
}

/** A bare TCP connection to the relay's public port. */
export async function tcp(at: Pick<At, 'port'>, options: HalfOpen = {}): Promise<Line> {
  const socket = tcpConnect({ port: at.port, host: '127.0.0.1', noDelay: true, ...options });
  await new Promise<void>((resolve, reject) => socket.once('connect', resolve).once('error', reject));
  return line(socket);
}

/** A TLS connection to the relay's own host. */
export async function tls(at: At, options: HalfOpen = {}): Promise<Line> {
  const below = tcpConnect({ port: at.port, host: '127.0.0.1', noDelay: true, ...options });
  const socket = tlsConnect({ socket: below, servername: 'localhost', ca: at.ca.certificatePem, ...options });
  await new Promise<void>((resolve, reject) => socket.once('secureConnect', resolve).once('error', reject));
  return line(socket);
}

/** A visitor who sends a ClientHello for `hostname` and leaves the rest to the test. It completes no TLS session. */
export async function sendHello(
  at: At,
  hostname: string,
  { alpn, ...options }: HalfOpen & { alpn?: string[] } = {},
): Promise<Line> {
  const visitor = await tcp(at, options);
  visitor.socket.write(helloFor(hostname, alpn));
  return visitor;
}

export function helloFor(hostname: string, alpn: string[] = ['http/1.1']): Buffer {
  return intoRecords(buildClientHello({ serverName: hostname, alpn }));
}

type Ticket = FromRelay<'dial'>['tickets'][number];
/** Listed separately, because the union of all is too complex for the compiler. */
interface RelayMessages {
  challenge: FromRelay<'challenge'>;
  welcome: FromRelay<'welcome'>;
  'lease.opened': FromRelay<'lease.opened'>;
  ok: FromRelay<'ok'>;
  error: FromRelay<'error'>;
  dial: FromRelay<'dial'>;
  visit: FromRelay<'visit'>;
  'lease.revoked': FromRelay<'lease.revoked'>;
  goaway: FromRelay<'goaway'>;
}

/** A relay's message, unchecked. */
interface AnyMessage {
  readonly type: string;
  readonly id?: number;
}

/** An error response of the relay. */
export class RelayError extends Error {
  readonly code: string;
  readonly retryAfterMs: number | undefined;

  constructor({ code, message, retryAfterMs }: FromRelay<'error'>) {
    super(message);
    this.code = code;
    this.retryAfterMs = retryAfterMs;
  }
}

/** The agent's end of a control channel, without an agent's logic. */
export class Peer {
  readonly ws: WebSocket;
  readonly at: At;
  readonly identity: Identity;
  readonly instance: string;
  /** How the channel was closed. */
  readonly closed: Promise<{ code: number; reason: string }>;
  readonly #messages: AnyMessage[] = [];
  readonly #lookers = new Set<() => void>();
  readonly #connections = new Map<string, Line>();
  #work: Work | undefined;
  #nextId = 1;

  private constructor(at: At, ws: WebSocket, identity: Identity, instance: string) {
    this.at = at;
    this.ws = ws;
    this.identity = identity;
    this.instance = instance;
    ws.on('error', () => undefined);
    ws.once('upgrade', ({ headers }) => (this.#work = readWork(headers[WORK_HEADER])));
    ws.on('message', (data: Buffer) => {
      this.#messages.push(JSON.parse(data.toString()) as AnyMessage);
      for (const look of this.#lookers) look();
    });
    this.closed = new Promise((resolve) =>
      ws.once('close', (code, reason) => resolve({ code, reason: reason.toString() })),
    );
    onTestFinished(() => ws.terminate());
  }

  /** A channel without messages yet. */
  static async connect(
    at: At,
    options: ClientOptions & { identity?: Identity; instance?: string; protocols?: string[] } = {},
  ): Promise<Peer> {
    const {
      identity = generateIdentity(),
      instance = randomUUID(),
      protocols = [CONTROL_SUBPROTOCOL],
      ...rest
    } = options;
    const ws = new WebSocket(`wss://localhost:${at.port}/v1/control`, protocols, {
      ca: at.ca.certificatePem,
      perMessageDeflate: false,
      ...rest,
    });
    const peer = new Peer(at, ws, identity, instance);
    await new Promise<void>((resolve, reject) => ws.once('open', resolve).once('error', reject));
    return peer;
  }

  /** A session whose identity is proven. */
  static async open(at: At, options: Parameters<typeof Peer.connect>[1] = {}): Promise<Peer> {
    const peer = await Peer.connect(at, options);
    const message = await peer.challenge();
    peer.say({ type: 'prove', signature: peer.identity.sign(message) });
    await peer.next('welcome');
    return peer;
  }

  say(message: object | string | Buffer): void {
    this.ws.send(typeof message === 'string' || Buffer.isBuffer(message) ? message : JSON.stringify(message));
  }

  /** Sends hello. Resolves with the challenge's text. */
  async challenge(over: object = {}): Promise<string> {
    this.say({
      type: 'hello',
      protocol: PROTOCOL_VERSION,
      agent: { instance: this.instance, version: 'test' },
      address: this.identity.address,
      nonce: 'ab'.repeat(16),
      ...(this.#work && { work: await solveWork(this.#work, new AbortController().signal) }),
      ...over,
    });
    return (await this.next('challenge')).message;
  }

  /** Takes the first message, past or future, of this type. Rejects when the channel closes first. */
  next<T extends keyof RelayMessages>(
    type: T,
    match: (message: RelayMessages[T]) => boolean = () => true,
  ): Promise<RelayMessages[T]> {
    const found: Promise<unknown> = this.#take((one) => one.type === type && match(one as never), type);
    return found as Promise<RelayMessages[T]>;
  }

  /** From now on opens every data connection that the relay requests. */
  answerDials(options: HalfOpen = {}): void {
    const connect = async ({ connection, ticket }: Ticket, carrier: WireCarrier): Promise<void> => {
      this.#connections.set(connection, await this.data(ticket, carrier, options));
      for (const look of this.#lookers) look();
    };
    const answer = async (): Promise<void> => {
      for (;;) {
        const { carrier, tickets } = await this.next('dial');
        for (const ticket of tickets) connect(ticket, carrier).catch(() => undefined);
      }
    };
    answer().catch(() => undefined);
  }

  /** The next visitor's notice, with its data connection (from `answerDials`). */
  async visited(): Promise<{ visit: FromRelay<'visit'>; data: Line }> {
    const visit = await this.next('visit', ({ connection }) => this.#connections.has(connection));
    return { visit, data: this.#connections.get(visit.connection)! };
  }

  #take(match: (message: AnyMessage) => boolean, what: string): Promise<AnyMessage> {
    return new Promise((resolve, reject) => {
      const look = (): void => {
        const at = this.#messages.findIndex(match);
        if (at < 0) return;
        this.#lookers.delete(look);
        resolve(this.#messages.splice(at, 1)[0]!);
      };
      this.#lookers.add(look);
      look();
      void this.closed.then(({ code, reason }) =>
        reject(new Error(`closed (${code} ${reason}) without ${what}: ${JSON.stringify(this.#messages)}`)),
      );
    });
  }

  /** Sends a request and resolves with the response. Rejects with RelayError on an error. */
  async request(message: object): Promise<AnyMessage> {
    const id = this.#nextId++;
    this.say({ id, ...message });
    const answer = await this.#take((one) => one.id === id, `an answer to ${JSON.stringify(message)}`);
    if (answer.type === 'error') throw new RelayError(answer as never);
    return answer;
  }

  async lease(name: string, over: object = {}): Promise<FromRelay<'lease.opened'>> {
    const answer = await this.request({ type: 'lease.open', name, mode: 'stream', carrier: 'raw', ...over });
    return answer as never;
  }

  /** Waits for the tickets of the next `dial`. */
  async tickets(carrier: WireCarrier = 'raw'): Promise<Ticket[]> {
    return (await this.next('dial', (dial) => dial.carrier === carrier)).tickets;
  }

  /** Opens a data connection. Resolves once the relay has responded to the upgrade. */
  async data(ticket: string, carrier: WireCarrier = 'raw', options: HalfOpen = {}): Promise<Line> {
    const connection = await (carrier === 'raw' ? tcp : tls)(this.at, options);
    connection.socket.write(upgradeWith(ticket, connection.socket));
    await connection.until('\r\n\r\n');
    return connection;
  }

  /** Opens data connections for all tickets of the next `dial`. */
  async connectAll(carrier: WireCarrier = 'raw', options: HalfOpen = {}): Promise<Line[]> {
    const tickets = await this.tickets(carrier);
    return Promise.all(tickets.map(({ ticket }) => this.data(ticket, carrier, options)));
  }
}

/** The `Authorization` value that presents `ticket` on `socket`. */
export function shownOn(socket: Socket, ticket: string): string {
  return showTicket(ticket, socket instanceof TLSSocket ? channelOf(socket)! : undefined);
}

export const upgradeWith = (ticket: string, socket: Socket): string =>
  upgradeShowing(shownOn(socket, ticket));

export function upgradeShowing(authorization: string): string {
  return `GET /v1/data HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: portal-data\r\nAuthorization: ${authorization}\r\n\r\n`;
}

export const ACCEPTED = /^HTTP\/1\.1 101 /;

/** Bytes after the response to the upgrade: the start byte first. */
export function afterHead(received: Buffer): Buffer {
  return received.subarray(received.indexOf('\r\n\r\n') + 4);
}
