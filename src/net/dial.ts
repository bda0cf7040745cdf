import type { Duplex } from 'node:stream';
import { connect, isIP, type Socket } from 'node:net';
import { connect as tlsConnect, type ConnectionOptions, type TLSSocket } from 'node:tls';
import { PortalError, systemCode } from '../lib/errors.js';
import { abortReason, deadline } from '../lib/wait.js';
import { notFound, RESOLUTION_DELAY_MS, systemResolver, type Family, type Resolver } from './resolve.js';

/**
 * Opens every outgoing TCP connection except those to targets. It connects to the first address of a name that
 * accepts (Happy Eyeballs, RFC 8305), within a timeout, until the signal aborts.
 */

/** After this long without a connection, the next address is tried as well (RFC 8305 §5). */
const ATTEMPT_DELAY_MS = 250;
/** Timeout of one address. Others are tried meanwhile. */
const ATTEMPT_MS = 10_000;
/** A name may have hundreds of addresses. At most this many are tried per family. */
const MAX_ADDRESSES = 8;
/** Limit of names whose last good address is remembered. */
const MAX_REMEMBERED = 256;

/** Socket options. */
export interface TcpOptions {
  readonly allowHalfOpen?: boolean;
  readonly noDelay?: boolean;
  readonly keepAlive?: boolean;
  readonly keepAliveInitialDelay?: number;
  readonly highWaterMark?: number;
}

/** The outcome of one address. */
export interface Attempt {
  readonly address: string;
  /** Absent: the connection opened. */
  readonly error?: Error;
}

export interface DialOptions {
  /** A name, or an IP address. */
  readonly host: string;
  readonly port: number;
  /** Timeout of the whole dial: the lookup and all attempts. */
  readonly ms: number;
  /** Timeout of each address. */
  readonly attemptMs?: number;
  readonly signal?: AbortSignal | undefined;
  /** Names the operation in the timeout error. */
  readonly what?: string;
  readonly tcp?: TcpOptions;
  readonly resolver?: Resolver;
  /**
   * Called for each address that connected or failed, but not for attempts that end because another address
   * connected.
   */
  readonly onAttempt?: (attempt: Attempt) => void;
}

/** No address connected. `attempts` lists the reason for each. */
export class DialError extends Error {
  readonly attempts: readonly Required<Attempt>[];
  /** The system's error code, if all attempts failed with the same one. */
  readonly code?: string;

  constructor(attempts: readonly Required<Attempt>[]) {
    super(
      attempts.map(({ address, error }) => `${systemCode(error) ?? error.message} at ${address}`).join(', '),
      {
        cause: attempts[0]?.error,
      },
    );
    this.name = 'DialError';
    this.attempts = attempts;
    const codes = new Set(attempts.map(({ error }) => systemCode(error)));
    const [code] = codes;
    if (codes.size === 1 && code !== undefined) this.code = code;
  }
}

/**
 * Connects. The timeout and the signal end with the dial, and the socket never throws an unhandled error. Rejects with
 * `timeout`, `aborted`, the system's error if there is only one address, or a `DialError`.
 */
export function dial(options: DialOptions): Promise<Socket> {
  return new Promise((resolve, reject) => new Dialling(options, resolve, reject).start());
}

/**
 * A socket that connects to an IP address, for callers that set a timeout and handle errors themselves. It needs no
 * lookup and no choice of address, so a data connection costs no more than its socket.
 */
export function socketTo(address: string, port: number, tcp: TcpOptions): Socket {
  if (isIP(address) === 0) throw new PortalError('internal', `${address} is not an IP address`);
  return connect({ ...tcp, host: address, port });
}

/**
 * TLS to an IP address, for callers that set a timeout and handle errors themselves, as with `socketTo`. Resumes
 * `session`. The session is set here and not in the options: node parses the options twice, which costs as much as the
 * rest of a resumed handshake.
 */
export function secureTo(
  address: string,
  port: number,
  tcp: TcpOptions,
  options: ConnectionOptions,
  session?: Buffer,
): TLSSocket {
  const plain = socketTo(address, port, tcp);
  // Safe while it connects: with one address, node cannot replace the socket below TLS.
  const socket = tlsConnect({ ...options, socket: plain });
  plain.on('error', (error) => socket.destroy(error));
  // Undocumented, though as old as TLSSocket. A node without it makes full handshakes.
  if (session) (socket as { setSession?: (session: Buffer) => void }).setSession?.(session);
  return socket;
}

/**
 * TLS over an established connection. A connecting socket is not safe: while node chooses between addresses, it replaces
 * the socket below TLS, and the process crashes.
 */
export function secure(plain: Socket | Duplex, options: ConnectionOptions): TLSSocket {
  if ('connecting' in plain && plain.connecting)
    throw new PortalError('internal', 'TLS needs a connected socket');
  return tlsConnect({ ...options, socket: plain });
}

/**
 * The name that the certificate of `host` must carry, for `secure`. Without it, node expects `localhost`. SNI allows no
 * IP address (RFC 6066 §3).
 */
export function tlsNameOf(host: string): { readonly host: string; readonly servername?: string } {
  const bare = host.replace(/^\[|\]$/g, '');
  return isIP(bare) === 0 ? { host: bare, servername: bare } : { host: bare };
}

/** The address that connected last, for names with several addresses. */
const lastGood = new Map<string, string>();

function remember(key: string, address: string): void {
  lastGood.delete(key);
  lastGood.set(key, address);
  if (lastGood.size > MAX_REMEMBERED) lastGood.delete(lastGood.keys().next().value!);
}

class Dialling {
  readonly #options: DialOptions;
  readonly #resolver: Resolver;
  readonly #succeed: (socket: Socket) => void;
  readonly #fail: (error: Error) => void;
  /** Untried addresses by family. */
  readonly #waiting: { readonly [family in Family]: string[] } = { 4: [], 6: [] };
  /** The family tried last, so that the families alternate. */
  #family: Family | undefined;
  /** Families without a result from the resolver yet. */
  #unresolved = 0;
  #known = 0;
  readonly #open = new Map<Socket, NodeJS.Timeout | undefined>();
  readonly #failed: Required<Attempt>[] = [];
  #lookupError: Error | undefined;
  /** Runs until the next attempt may start in parallel. */
  #pause: NodeJS.Timeout | undefined;
  #inTime: () => void = () => undefined;
  #isDone = false;

  constructor(options: DialOptions, succeed: (socket: Socket) => void, fail: (error: Error) => void) {
    this.#options = options;
    this.#resolver = options.resolver ?? systemResolver;
    this.#succeed = succeed;
    this.#fail = fail;
  }

  start(): void {
    const { host, port, ms, signal, what } = this.#options;
    if (signal?.aborted) return this.#fail(abortReason(signal));
    // Node would throw this at the first attempt, outside the promise.
    if (!(port >= 0 && port <= 65_535))
      return this.#fail(new PortalError('internal', `${port} is not a port`));
    signal?.addEventListener('abort', this.#abort, { once: true });
    this.#inTime = deadline(ms, () => {
      const cause = this.#failed.length > 0 ? new DialError(this.#failed) : undefined;
      const tried = cause ? ` (${cause.message})` : '';
      const message = `${what ?? `a connection to ${host}:${port}`} timed out after ${Math.round(ms)} ms${tried}`;
      this.#end(() => this.#fail(new PortalError('timeout', message, { cause })));
    });
    if (isIP(host) !== 0) return this.#attempt(host);
    this.#unresolved = 2;
    this.#resolver.resolve(host, (family, found, error) => this.#resolved(family, found, error));
  }

  get #key(): string {
    return `${this.#options.host}:${this.#options.port}`;
  }

  readonly #abort = (): void => this.#end(() => this.#fail(abortReason(this.#options.signal)));

  #add(family: Family, addresses: readonly string[]): void {
    const some = addresses.slice(0, MAX_ADDRESSES);
    this.#known += some.length;
    this.#waiting[family].push(...some);
  }

  #resolved(family: Family, addresses: readonly string[], error: Error | undefined): void {
    if (this.#isDone) return;
    this.#unresolved--;
    this.#add(family, addresses);
    // A server failure says more than "not found".
    if (error && (!this.#lookupError || systemCode(this.#lookupError) === 'ENOTFOUND'))
      this.#lookupError = error;
    if (this.#open.size > 0) {
      // The address is tried when the current pause ends, or now if there is no pause.
      if (!this.#pause) this.#next();
      return;
    }
    clearTimeout(this.#pause);
    this.#pause = undefined;
    const wanted = lastGood.get(this.#key);
    const isBest =
      wanted === undefined
        ? this.#waiting[this.#resolver.first(this.#options.host)].length > 0
        : [...this.#waiting[4], ...this.#waiting[6]].includes(wanted);
    if (isBest || this.#unresolved === 0 || this.#failed.length > 0) this.#next();
    else if (addresses.length > 0) this.#pauseFor(RESOLUTION_DELAY_MS);
  }

  #pauseFor(ms: number): void {
    this.#pause = setTimeout(() => {
      this.#pause = undefined;
      this.#next();
    }, ms);
  }

  /** The next address to try: the last good one first, then the families in turn. */
  #take(): string | undefined {
    const wanted = this.#family === undefined ? lastGood.get(this.#key) : undefined;
    const family = wanted === undefined ? this.#turn() : (isIP(wanted) as Family);
    const all = this.#waiting[family];
    const at = wanted === undefined ? 0 : Math.max(0, all.indexOf(wanted));
    const [address] = all.splice(at, 1);
    if (address === undefined) {
      const [other] = this.#waiting[family === 4 ? 6 : 4].splice(0, 1);
      if (other !== undefined) this.#family = family === 4 ? 6 : 4;
      return other;
    }
    this.#family = family;
    return address;
  }

  #turn(): Family {
    if (this.#family === undefined) return this.#resolver.first(this.#options.host);
    return this.#family === 4 ? 6 : 4;
  }

  #next(): void {
    const address = this.#take();
    if (address !== undefined) return this.#attempt(address);
    if (this.#open.size > 0 || this.#unresolved > 0) return;
    const [first, ...more] = this.#failed;
    const error =
      first === undefined
        ? (this.#lookupError ?? notFound(this.#options.host))
        : more.length === 0
          ? first.error
          : new DialError(this.#failed);
    this.#end(() => this.#fail(error));
  }

  #attempt(address: string): void {
    const { port, tcp, ms, attemptMs = ATTEMPT_MS } = this.#options;
    const socket = connect({ ...tcp, host: address, port });
    const failed = (error: Error): void => {
      this.#drop(socket);
      this.#failed.push({ address, error });
      this.#options.onAttempt?.({ address, error });
      clearTimeout(this.#pause);
      this.#pause = undefined;
      this.#next();
    };
    const timer = attemptMs < ms ? setTimeout(() => failed(timedOut(address, port)), attemptMs) : undefined;
    this.#open.set(socket, timer);
    const onError = (error: Error): void => {
      if (this.#open.has(socket)) failed(error);
    };
    socket.on('error', onError).once('connect', () => {
      if (!this.#open.has(socket)) return;
      // Permanent: an unhandled error must not end the process. The owner adds a listener to see errors.
      socket.off('error', onError).on('error', ignore);
      clearTimeout(timer);
      this.#open.delete(socket);
      if (this.#known > 1) remember(this.#key, address);
      this.#end(() => {
        this.#options.onAttempt?.({ address });
        this.#succeed(socket);
      });
    });
    if (this.#unresolved > 0 || this.#waiting[4].length + this.#waiting[6].length > 0)
      this.#pauseFor(ATTEMPT_DELAY_MS);
  }

  #drop(socket: Socket): void {
    clearTimeout(this.#open.get(socket));
    this.#open.delete(socket);
    socket.destroy();
  }

  #end(settle: () => void): void {
    if (this.#isDone) return;
    this.#isDone = true;
    this.#inTime();
    clearTimeout(this.#pause);
    this.#options.signal?.removeEventListener('abort', this.#abort);
    for (const socket of this.#open.keys()) this.#drop(socket);
    settle();
  }
}

const ignore = (): void => undefined;

function timedOut(address: string, port: number): Error {
  return Object.assign(new Error(`${address}:${port} did not respond in time`), { code: 'ETIMEDOUT' });
}
