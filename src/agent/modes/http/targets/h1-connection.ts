import type { Socket } from 'node:net';
import { endedUnannounced } from '../../../../net/tls/close-notify.js';
import { UpstreamError } from './dial.js';
import type { Headers } from '../exchange/exchange.js';
import { SilentError } from './failures.js';
import { ResponseReader, type ResponseHead, type ResponseSink } from './h1-response.js';
import type { HttpLimits } from '../limits.js';

/** How long a connection stays idle if the target does not say, and how much earlier than the target it closes. */
const IDLE_MS = 4_000;
const MARGIN_MS = 2_000;

/** One request without a body, and the receiver of its response. Either `onEnd`, `onConnectionEnd` or `onFailed` is the last call. */
export interface Asker {
  readonly method: string;
  /** The head of the request, as it is sent. */
  readonly head: string;
  /** The visitor has disconnected. */
  readonly isOver: boolean;
  /** The request was sent. `cancel` ends it. */
  onSent(cancel: () => void): void;
  onInterim(status: number, headers: Headers): void;
  onHead(head: ResponseHead): void;
  /** False: `onDrain` is called next. */
  onData(chunk: Buffer): boolean;
  onDrain(resume: () => void): void;
  onEnd(trailers: Headers): void;
  /** The body lasted until the connection closed. Over TLS, `isAnnounced` means with close_notify. */
  onConnectionEnd(isAnnounced: boolean): void;
  onFailed(error: Error): void;
}

/** The connection broke before the target sent anything of its response. */
export class NoResponseError extends UpstreamError {
  /** The connection had carried another response before. The target may have closed it at that moment. */
  readonly isStale: boolean;

  constructor(isStale: boolean, cause?: Error) {
    super('the target closed the connection without a response', { cause });
    this.isStale = isStale;
  }
}

/** The owner of connections. */
interface Owner {
  readonly limits: HttpLimits;
  /** Milliseconds of a clock that advances with `checkTime`: requests need not read the time. */
  readonly now: number;
  /** The connection accepts the next request. */
  onIdle(connection: H1Connection): void;
  onClosed(connection: H1Connection): void;
}

/** A kept-alive HTTP/1.1 connection to a target, with one request at a time. */
export class H1Connection implements ResponseSink {
  readonly #socket: Socket;
  readonly #owner: Owner;
  readonly #reader: ResponseReader;
  #asker: Asker | undefined;
  #hasHead = false;
  #isPaused = false;
  #isClosed = false;
  #requests = 0;
  /** Bytes read before the current request. */
  #bytesBefore = 0;
  #deadline = Infinity;

  constructor(socket: Socket, owner: Owner) {
    this.#socket = socket;
    this.#owner = owner;
    this.#reader = new ResponseReader(owner.limits);
    socket.on('data', (bytes: Buffer) => this.#read(bytes));
    socket.once('end', () => this.#ended());
    socket.on('error', (error) => this.#fail(error));
    socket.once('close', () => this.#fail(undefined));
    this.#wait(IDLE_MS);
  }

  send(asker: Asker): void {
    this.#asker = asker;
    this.#hasHead = false;
    this.#requests++;
    this.#bytesBefore = this.#socket.bytesRead;
    this.#reader.expect(asker.method, this);
    this.#socket.write(asker.head, 'latin1');
    this.#wait(this.#owner.limits.responseMs);
    asker.onSent(() => {
      if (this.#asker === asker) this.destroy();
    });
  }

  destroy(): void {
    this.#fail(undefined);
  }

  /** Closes the connection if it waited too long. */
  checkTime(): void {
    if (this.#owner.now < this.#deadline || this.#isPaused) return;
    if (!this.#asker) return this.destroy();
    this.#fail(this.#hasHead ? new UpstreamError('the response stopped') : new SilentError());
  }

  onInterim(status: number, headers: Headers): void {
    this.#wait(this.#owner.limits.responseMs);
    this.#asker?.onInterim(status, headers);
  }

  onHead(head: ResponseHead): void {
    this.#hasHead = true;
    this.#asker?.onHead(head);
  }

  onData(chunk: Buffer): void {
    const asker = this.#asker;
    if (!asker || asker.onData(chunk) || this.#isPaused) return;
    this.#isPaused = true;
    this.#socket.pause();
    asker.onDrain(() => {
      if (this.#asker === asker) this.#resume();
    });
  }

  onEnd(trailers: Headers): void {
    const asker = this.#asker;
    this.#asker = undefined;
    if (this.#isPaused) this.#resume();
    asker?.onEnd(trailers);
  }

  #read(bytes: Buffer): void {
    try {
      this.#reader.read(bytes);
    } catch (error) {
      return this.#fail(error as Error);
    }
    if (!this.#reader.isIdle) {
      if (this.#hasHead) this.#wait(this.#owner.limits.stalledMs);
      return;
    }
    const { keepAliveMs } = this.#reader;
    const idleMs = keepAliveMs === undefined ? IDLE_MS : keepAliveMs - MARGIN_MS;
    if (this.#isClosed) return;
    if (!this.#reader.isReusable || idleMs <= 0) return this.destroy();
    this.#wait(Math.min(idleMs, this.#owner.limits.keepAliveMs));
    this.#owner.onIdle(this);
  }

  #resume(): void {
    this.#isPaused = false;
    this.#socket.resume();
  }

  #wait(ms: number): void {
    this.#deadline = this.#owner.now + ms;
  }

  /** The target sends no more. */
  #ended(): void {
    if (!this.#asker || !this.#reader.lastsUntilClose) return this.#fail(undefined);
    const asker = this.#asker;
    this.#close();
    asker.onConnectionEnd(!endedUnannounced(this.#socket));
  }

  #fail(error: Error | undefined): void {
    const asker = this.#asker;
    this.#close();
    asker?.onFailed(this.#failureOf(error));
  }

  #failureOf(error: Error | undefined): Error {
    if (error instanceof UpstreamError || error instanceof SilentError) return error;
    const hasResponse = this.#socket.bytesRead > this.#bytesBefore;
    if (!hasResponse) return new NoResponseError(this.#requests > 1, error);
    return error ?? new UpstreamError('the response is incomplete');
  }

  #close(): void {
    this.#asker = undefined;
    this.#socket.destroy();
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#owner.onClosed(this);
  }
}
