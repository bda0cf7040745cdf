import type { Socket } from 'node:net';
import { asPortalError } from '../../../lib/errors.js';
import { FairPlaces } from '../../../lib/fair-places.js';
import type { Target } from '../../../net/target.js';
import { isHttp, type Speaks, type TargetProtocols } from '../../speaks.js';
import type { TargetTls } from '../../spec.js';
import { connectTarget } from '../../upstream.js';
import type { HttpBounds } from './bounds.js';
import type { Dial } from './dial.js';
import type { Exchange } from './exchange.js';
import { BusyError, type Forwarding } from './forward.js';
import { isGrpc } from './request.js';
import { BodyRequests } from './upstream-body.js';
import { Lasting } from './lasting.js';
import { isFromH2 } from './sent-body.js';
import { H2Requests } from './upstream-h2.js';
import { isGarbage, isIdempotent, PlainRequests } from './upstream-plain.js';

/** What a handler needs to know of its targets; `TargetProtocols` finds it out. */
export type Protocols = Pick<
  TargetProtocols,
  'speaks' | 'learnNow' | 'reached' | 'failed' | 'forget' | 'answered' | 'announcesEnd'
>;

/**
 * The connections to one target, and which of them a request takes: HTTP/1.1 through undici where there is no body
 * (fast), through node:http where there is (it sends the head at once, passes `100 Continue` and trailers), and HTTP/2
 * for gRPC and for targets that speak nothing else.
 */
export class Upstream {
  readonly dial: Dial;
  readonly #target: Target;
  readonly #protocols: Protocols;
  readonly #plain: PlainRequests;
  readonly #body: BodyRequests;
  readonly #h2: H2Requests;
  readonly #places: FairPlaces<Forwarding>;
  readonly lasting = new Lasting();
  readonly #doubted = new WeakSet<Forwarding>();
  #closing = false;

  constructor(target: Target, tls: TargetTls, bounds: HttpBounds, protocols: Protocols) {
    this.#target = target;
    this.#protocols = protocols;
    this.#places = new FairPlaces({
      max: bounds.maxAtTarget,
      drop: (forwarding) => forwarding.giveWay(),
      // Behind a proxy that hides them, or a chain, visitors have one address: each connection gets its share of it.
      partOf: ({ exchange }) => exchange.client,
      givesWay: (forwarding) => forwarding.keepsWaiting,
    });
    this.dial = (alpn) => this.#dial(tls, alpn);
    this.#plain = new PlainRequests(
      this.dial,
      bounds,
      (forwarding, error) => void this.#notH1(forwarding, error),
    );
    this.#body = new BodyRequests(this.dial, bounds, (forwarding, error) =>
      this.#bodyFailed(forwarding, error),
    );
    this.#h2 = new H2Requests(target, this.dial, bounds, (forwarding) => this.#notH2(forwarding));
  }

  send(forwarding: Forwarding): void {
    forwarding.place = this.#places.enter(forwarding, forwarding.exchange.client.network);
    if (!forwarding.place) return forwarding.fail(new BusyError('too many requests at the target'));
    try {
      this.#start(forwarding);
    } catch (error) {
      // Something about the request that no client of ours would write: it must end this request, and nothing else.
      forwarding.fail(error);
    }
  }

  #start(forwarding: Forwarding): void {
    const speaks = this.#protocols.speaks(this.#target);
    // One that can be sent once more finds out by itself.
    if (speaks || isRepeatable(forwarding.exchange)) this.#sendAs(speaks, forwarding);
    else void this.#learnFirst(forwarding);
  }

  #sendAs(speaks: Speaks | undefined, forwarding: Forwarding): void {
    const { headers } = forwarding.exchange;
    if (!isHttp(speaks)) forwarding.onAnswered = () => this.#protocols.answered(this.#target);
    if (speaks === 'h2' || (speaks === 'both' && isGrpc(headers))) this.#h2.send(forwarding);
    else if (isBodiless(forwarding.exchange)) this.#plain.send(forwarding);
    else this.#body.send(forwarding);
  }

  async #learnFirst(forwarding: Forwarding): Promise<void> {
    try {
      const speaks = await this.#protocols.learnNow(this.#target);
      if (!forwarding.over) this.#sendAs(speaks, forwarding);
    } catch (error) {
      forwarding.fail(error);
    }
  }

  /** One of its requests is over. */
  done(forwarding: Forwarding): void {
    if (forwarding.place) this.#places.leave(forwarding.place);
    if (this.#closing && this.#places.size === 0) this.destroy();
  }

  /**
   * Whether an answer is whole that lasted until the target closed the connection without close_notify. It is not, unless
   * that is how the target ends all its connections.
   */
  async endsUnannounced(): Promise<boolean> {
    return (await this.#protocols.announcesEnd(this.#target)) === false;
  }

  /** Requests and upgraded connections that are under way. */
  get users(): number {
    return this.#places.size + this.lasting.size;
  }

  /** No request comes any more; those under way finish. */
  close(): void {
    this.#closing = true;
    if (this.#places.size === 0) this.destroy();
  }

  destroy(): void {
    this.#plain.destroy();
    this.#body.destroy();
    this.#h2.destroy();
  }

  async #dial(tls: TargetTls, alpn: 'h2' | 'http/1.1'): Promise<Socket> {
    try {
      const socket = await connectTarget(this.#target, { tls, alpn: [alpn] });
      this.#protocols.reached(this.#target);
      return socket;
    } catch (error) {
      this.#protocols.failed(this.#target, asPortalError(error));
      throw error;
    }
  }

  /** The target takes no HTTP/2 any more, and nothing of the request was sent. Answers whether it goes on. */
  #notH2(forwarding: Forwarding): boolean {
    // No target that was asked a moment ago changes at once.
    if (this.#doubted.has(forwarding) || forwarding.sent) return false;
    this.#doubted.add(forwarding);
    this.#protocols.forget(this.#target);
    void this.#learnFirst(forwarding);
    return true;
  }

  /** The same for a request with a body, which the target may have processed unless it proves the contrary. */
  #bodyFailed(forwarding: Forwarding, error: Error): boolean {
    this.#protocols.forget(this.#target);
    if (!isFromH2(error) || !forwarding.sent?.chunks) return false;
    void this.#asH2(forwarding, error);
    return true;
  }

  /** Its answer was not HTTP/1.1; it may be HTTP/2, and nothing but. */
  async #notH1(forwarding: Forwarding, error: unknown): Promise<void> {
    const known = this.#protocols.speaks(this.#target);
    // It restarts, perhaps, and as another program: the next request asks what it speaks.
    if (known) this.#protocols.forget(this.#target);
    const mayAskAgain = !known && isRepeatable(forwarding.exchange);
    if (mayAskAgain || isGarbage(error) || isFromH2(error)) await this.#asH2(forwarding, error);
    else forwarding.fail(error);
  }

  /** Sends it over HTTP/2 if the target takes nothing else; `error` is why it did not take HTTP/1.1. */
  async #asH2(forwarding: Forwarding, error: unknown): Promise<void> {
    const speaks = await this.#protocols.learnNow(this.#target).catch(() => undefined);
    if (speaks === 'h2') this.#h2.send(forwarding);
    else forwarding.fail(error);
  }
}

function isBodiless({ body, expectsContinue }: Exchange): boolean {
  return body === undefined && !expectsContinue;
}

function isRepeatable(exchange: Exchange): boolean {
  return isBodiless(exchange) && isIdempotent(exchange.method);
}
