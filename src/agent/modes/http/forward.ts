import type { Place } from '../../../lib/fair-places.js';
import { publicOrigin } from './alias.js';
import { isTooLarge, type HttpLimits } from './limits.js';
import { UpstreamError } from './targets/dial.js';
import {
  BusyError,
  failurePage,
  HeadTooLargeError,
  isDown,
  isOverflow,
  StalledError,
} from './targets/failures.js';
import { withoutField, type Exchange, type Follows, type Headers } from './exchange/exchange.js';
import { respondWith } from './exchange/own-response.js';
import { responseTrailers, hasContentType } from './request.js';
import { visitorHeaders } from './response.js';
import { MAX_CHECKED_BYTES, mayReject, rejectionOf, type NameRejection } from '../../lease/rejected-name.js';
import type { Route, RouteTable } from './routing/routes.js';
import type { SentBody } from './targets/sent-body.js';

/**
 * One exchange between a visitor and its route's target. The code that talks to the target reports events to it. It ends
 * once, by either side.
 */
export class Forwarding {
  readonly exchange: Exchange;
  readonly route: Route;
  /** Its place at the target, which `Upstream` assigns. */
  place: Place<Forwarding> | undefined;
  readonly #table: RouteTable;
  readonly #service: string;
  readonly #limits: HttpLimits;
  readonly #onEnd: (problem: unknown) => void;
  /** Set once the visitor was slower than the target. */
  #slow: NodeJS.Timeout | undefined;
  #isBlocked = false;
  #chunks = 0;
  /** The part of the request's body that was sent before the target responded. */
  sent: SentBody | undefined;
  /** Called when the target starts its response, if it was not known to speak HTTP. */
  onResponse: (() => void) | undefined;
  #cancel: (() => void) | undefined;
  #forget: (() => void) | undefined;
  #isOver = false;
  #continued = false;
  #bodyTimer: NodeJS.Timeout | undefined;
  #onFinished: (() => void) | undefined;
  /** The status of a response without body bytes yet. */
  #status = 0;
  /** Set if the request is held when the target is down. */
  hold: Hold | undefined;
  /** Stops reading the body for the target. */
  detachBody: (() => void) | undefined;
  /** Called when the target rejects the name in the request. */
  onNameRejected: ((rejection: NameRejection) => void) | undefined;

  constructor(
    exchange: Exchange,
    route: Route,
    table: RouteTable,
    service: string,
    limits: HttpLimits,
    onEnd: (problem: unknown) => void,
  ) {
    this.exchange = exchange;
    this.route = route;
    this.#table = table;
    this.#service = service;
    this.#limits = limits;
    this.#onEnd = onEnd;
    exchange.onDisconnect(() => {
      if (this.#isOver) return;
      this.#finish(undefined);
      this.#cancel?.();
    });
  }

  get isOver(): boolean {
    return this.#isOver;
  }

  /**
   * Sets the function that cancels the request at the target. Calls it immediately if the visitor has disconnected
   * meanwhile.
   */
  cancelWith(cancel: () => void): void {
    this.#cancel = cancel;
    if (this.#isOver) cancel();
  }

  inform(status: number, headers: Headers): void {
    this.onResponse?.();
    if (this.#isOver) return;
    if (status === 100) {
      this.#continued = true;
      // The visitor starts to send its body now.
      this.#bodyTimer?.refresh();
    }
    this.exchange.inform(status, this.fields(headers));
  }

  head(status: number, reason: string, headers: Headers, follows: Follows): void {
    this.onResponse?.();
    if (this.#isOver) return;
    if (isTooLarge(headers, '', this.#limits)) return this.#breakOff(new HeadTooLargeError(this.#limits));
    try {
      const fields = this.fields(headers);
      // A length has no meaning there, and HTTP/2 clients treat it as an error (RFC 9110, 8.6).
      const passed = status === 204 ? withoutField(fields, 'content-length') : fields;
      this.exchange.begin(status, reason, passed, follows);
      this.#status = status;
      if (hasContentType(headers, EVENT_STREAM)) this.#forget = this.#beginEventStream();
    } catch (error) {
      // The response contains a field that visitors must not get.
      this.#breakOff(error);
    }
  }

  #beginEventStream(): () => void {
    const { client } = this.exchange;
    const forget = this.route.upstream.lasting.eventStream(() => this.#cutShort());
    client.eventStreams = (client.eventStreams ?? 0) + 1;
    return () => {
      forget();
      client.eventStreams!--;
    };
  }

  data(chunk: Buffer): boolean {
    this.#chunks++;
    if (this.#status > 0 && this.onNameRejected) this.#checkForRejection(chunk);
    return this.#isOver || this.exchange.write(chunk);
  }

  #checkForRejection(chunk: Buffer): void {
    const status = this.#status;
    this.#status = 0;
    if (mayReject(status, chunk.length)) this.#noteRejection(status, chunk);
  }

  #noteRejection(status: number, chunk: Buffer): void {
    const { method, target, authority, headers } = this.exchange;
    const text = chunk.toString('latin1', 0, MAX_CHECKED_BYTES);
    const response = { status, method, target, text, isCrossOrigin: isCrossOrigin(headers, authority) };
    const rejection = rejectionOf(response, this.route.alias?.authority ?? authority);
    if (rejection) this.onNameRejected?.(rejection);
  }

  onDrain(resume: () => void): void {
    this.#isBlocked = true;
    if (this.#slow) this.#slow.refresh();
    else this.#slow = setTimeout(() => this.#checkReader(), this.#limits.sendMs);
    this.exchange.onDrain(() => {
      this.#isBlocked = false;
      resume();
    });
  }

  /** Whether the visitor delays the target: it sends no more of its request, or stops reading the response. */
  get delaysTarget(): boolean {
    const { body } = this.exchange;
    return this.#isBlocked || (body !== undefined && !body.readableEnded && !body.isPaused());
  }

  /**
   * Watches the request's body on its way to the target. Once the response has started, its progress counts too. With
   * `untilResponse`, the body may then be slow.
   */
  watchBody({ untilResponse = false } = {}): void {
    const { body } = this.exchange;
    // From the first attempt, if the request is sent again.
    this.#onFinished?.();
    if (!body || body.readableEnded) return;
    let chunks = 0;
    const check = (): void => {
      if (this.#isOver) return;
      const { begun } = this.exchange;
      if (begun && untilResponse) return;
      // The body waits for the target: for buffer space, for `100 Continue`, or for more of the response.
      const waits = body.isPaused() || (this.exchange.expectsContinue && !this.#continued);
      if (!waits && this.#chunks === chunks) return this.#breakOff(new StalledError('the request stopped'));
      chunks = this.#chunks;
      timer.refresh();
    };
    const timer = setTimeout(check, this.#limits.bodyMs);
    this.#bodyTimer = timer;
    const moved = (): void => void timer.refresh();
    const stop = (): void => {
      clearTimeout(timer);
      this.#bodyTimer = undefined;
    };
    body.on('data', moved).on('resume', moved).once('end', stop).once('close', stop);
    this.#onFinished = stop;
  }

  /** Gives this visitor's place at the target to another one. */
  yieldPlace(): void {
    this.#breakOff(new BusyError('other visitors need the connection to the target'));
  }

  end(trailers: Headers): void {
    if (this.#isOver) return;
    this.#finish(undefined);
    this.exchange.end(responseTrailers(trailers));
  }

  /** The response ended with the target's connection. Over TLS, `isAnnounced` means with close_notify. */
  async endWithConnection(isAnnounced: boolean): Promise<void> {
    if (isAnnounced || (await this.route.upstream.endsUnannounced())) this.end([]);
    else this.fail(new UpstreamError('the target closed the connection without close_notify'));
  }

  /** The response cannot be completed. */
  fail(problem: unknown): void {
    if (this.#isOver) return;
    const error = isOverflow(problem) ? new HeadTooLargeError(this.#limits) : problem;
    const unsent = this.#unsent(error);
    this.#finish(unsent ? undefined : error);
    if (unsent) return this.hold!.with(unsent);
    if (this.exchange.begun) return this.exchange.abort();
    const { rawPacket } = error as { rawPacket?: Buffer };
    // Node could not parse it: not HTTP, but possibly the message of a framework.
    if (rawPacket) this.#noteRejection(0, rawPacket);
    try {
      respondWith(this.exchange, failurePage(error, this.#service));
    } catch {
      // The visitor's connection accepts no response.
      this.exchange.abort();
    }
  }

  /** What was read of the body of a request that is held now, because the target got nothing of it. */
  #unsent(error: unknown): readonly Buffer[] | undefined {
    if (!this.hold || !isDown(error) || this.exchange.begun) return undefined;
    this.detachBody?.();
    return this.sent ? this.sent.chunks : [];
  }

  /** The visitor's connection switched protocols. */
  switched(): void {
    this.onResponse?.();
    this.#finish(undefined);
  }

  fields(headers: Headers): string[] {
    return visitorHeaders(headers, this.exchange, this.route, this.#table);
  }

  /** Fails, and cancels the request at the target. */
  #breakOff(error: unknown): void {
    this.fail(error);
    this.#cancel?.();
  }

  #checkReader(): void {
    this.#slow = undefined;
    if (this.#isBlocked) this.#breakOff(new StalledError('the visitor stopped reading the response'));
  }

  /** In order: an event stream's client reconnects. */
  #cutShort(): void {
    this.end([]);
    this.#cancel?.();
  }

  #finish(problem: unknown): void {
    this.#isOver = true;
    this.#forget?.();
    clearTimeout(this.#slow);
    this.#onFinished?.();
    this.#onEnd(problem);
  }
}

/** How a request is held. */
export interface Hold {
  readonly maxBodyBytes: number;
  /** Gets the part of the body that was read. */
  readonly with: (read: readonly Buffer[]) => void;
}

/** The request comes from a page of another origin. */
function isCrossOrigin(headers: Headers, authority: string): boolean {
  const at = headers.findIndex((name, i) => i % 2 === 0 && name.toLowerCase() === 'origin');
  return at >= 0 && headers[at + 1]!.toLowerCase() !== publicOrigin(authority);
}

const EVENT_STREAM = /^text\/event-stream\b/i;
