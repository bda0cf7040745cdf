import type { Socket } from 'node:net';
import { asPortalError } from '../../../../lib/errors.js';
import { FairPlaces } from '../../../../lib/fair-places.js';
import type { Target } from '../../../../net/target/target.js';
import { isHttp, type Speaks, type TargetProtocols } from '../../../target/target-protocols.js';
import type { TargetTls } from '../../../spec.js';
import { connectTarget } from '../../../target/upstream.js';
import type { HttpLimits } from '../limits.js';
import type { Dial } from './dial.js';
import type { Exchange } from '../exchange/exchange.js';
import { BusyError } from './failures.js';
import type { Forwarding } from '../forward.js';
import { isGrpc } from '../request.js';
import { BodyRequests } from './upstream-body.js';
import { LongLivedExchanges } from './long-lived.js';
import { isFromH2 } from './sent-body.js';
import { H2Requests } from './upstream-h2.js';
import { isNotHttp1, isIdempotent, PlainRequests } from './upstream-plain.js';

/** The facts about targets that a handler uses. `TargetProtocols` detects them. */
export type Protocols = Pick<
  TargetProtocols,
  'speaks' | 'detectNow' | 'reached' | 'failed' | 'forget' | 'respondedInHttp' | 'announcesEnd'
>;

/**
 * The connections to one target, and the choice between them:
 * - HTTP/1.1 through `H1Connections` for requests without a body, because it is fast
 * - HTTP/1.1 through node:http for requests with one: it sends the head immediately, and forwards `100 Continue` and trailers
 * - HTTP/2 for gRPC and for HTTP/2-only targets
 */
export class Upstream {
  readonly dial: Dial;
  readonly #target: Target;
  readonly #protocols: Protocols;
  readonly #plain: PlainRequests;
  readonly #body: BodyRequests;
  readonly #h2: H2Requests;
  readonly #places: FairPlaces<Forwarding>;
  readonly lasting = new LongLivedExchanges();
  readonly #rechecked = new WeakSet<Forwarding>();
  #closing = false;

  constructor(target: Target, tls: TargetTls, limits: HttpLimits, protocols: Protocols) {
    this.#target = target;
    this.#protocols = protocols;
    this.#places = new FairPlaces({
      max: limits.maxAtTarget,
      drop: (forwarding) => forwarding.yieldPlace(),
      // Behind a proxy that hides their addresses, or a chain, all visitors share one address. Then each connection gets a
      // part of that address's share.
      partOf: ({ exchange }) => exchange.client,
      evictFirst: (forwarding) => forwarding.delaysTarget,
    });
    this.dial = (alpn) => this.#dial(tls, alpn);
    this.#plain = new PlainRequests(
      this.dial,
      limits,
      (forwarding, error) => void this.#notH1(forwarding, error),
    );
    this.#body = new BodyRequests(this.dial, limits, (forwarding, error) =>
      this.#bodyFailed(forwarding, error),
    );
    this.#h2 = new H2Requests(target, this.dial, limits, (forwarding) => this.#notH2(forwarding));
  }

  send(forwarding: Forwarding): void {
    forwarding.place = this.#places.enter(forwarding, forwarding.exchange.client.network);
    if (!forwarding.place) return forwarding.fail(new BusyError('too many requests at the target'));
    try {
      this.#start(forwarding);
    } catch (error) {
      // No ordinary client sends a request that fails here. Its error must end only this request.
      forwarding.fail(error);
    }
  }

  #start(forwarding: Forwarding): void {
    const speaks = this.#protocols.speaks(this.#target);
    // A repeatable request detects the protocol without a probe.
    if (speaks || isRepeatable(forwarding.exchange)) this.#sendAs(speaks, forwarding);
    else void this.#detectFirst(forwarding);
  }

  #sendAs(speaks: Speaks | undefined, forwarding: Forwarding): void {
    const { headers } = forwarding.exchange;
    if (!isHttp(speaks)) forwarding.onResponse = () => this.#protocols.respondedInHttp(this.#target);
    if (speaks === 'h2' || (speaks === 'both' && isGrpc(headers))) this.#h2.send(forwarding);
    else if (isBodiless(forwarding.exchange)) this.#plain.send(forwarding);
    else this.#body.send(forwarding);
  }

  async #detectFirst(forwarding: Forwarding): Promise<void> {
    try {
      const speaks = await this.#protocols.detectNow(this.#target);
      if (!forwarding.isOver) this.#sendAs(speaks, forwarding);
    } catch (error) {
      forwarding.fail(error);
    }
  }

  /** One of its requests has ended. */
  done(forwarding: Forwarding): void {
    if (forwarding.place) this.#places.leave(forwarding.place);
    if (this.#closing && this.#places.size === 0) this.destroy();
  }

  /**
   * Whether a response that ended with the connection, without close_notify, is complete. It is only if the target ends all
   * its connections that way.
   */
  async endsUnannounced(): Promise<boolean> {
    return (await this.#protocols.announcesEnd(this.#target)) === false;
  }

  /** Requests and upgraded connections in progress. */
  get users(): number {
    return this.#places.size + this.lasting.size;
  }

  /** Accepts no more requests. Those in progress finish. */
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

  /** The target no longer accepts HTTP/2, and nothing of the request was sent. Returns whether the request continues. */
  #notH2(forwarding: Forwarding): boolean {
    // The target was probed a moment ago and has hardly changed since.
    if (this.#rechecked.has(forwarding) || forwarding.sent) return false;
    this.#rechecked.add(forwarding);
    this.#protocols.forget(this.#target);
    void this.#detectFirst(forwarding);
    return true;
  }

  /** The same for a request with a body, which the target may have processed unless it proves otherwise. */
  #bodyFailed(forwarding: Forwarding, error: Error): boolean {
    this.#protocols.forget(this.#target);
    if (!isFromH2(error) || !forwarding.sent?.chunks) return false;
    void this.#asH2(forwarding, error);
    return true;
  }

  /** The response was not HTTP/1.1. The target may speak only HTTP/2. */
  async #notH1(forwarding: Forwarding, error: unknown): Promise<void> {
    const known = this.#protocols.speaks(this.#target);
    // The target may be restarting as another program: the next request detects its protocol again.
    if (known) this.#protocols.forget(this.#target);
    const mayAskAgain = !known && isRepeatable(forwarding.exchange);
    if (mayAskAgain || isNotHttp1(error) || isFromH2(error)) await this.#asH2(forwarding, error);
    else forwarding.fail(error);
  }

  /** Sends the request over HTTP/2 if the target accepts nothing else. `error` is the reason why HTTP/1.1 failed. */
  async #asH2(forwarding: Forwarding, error: unknown): Promise<void> {
    const speaks = await this.#protocols.detectNow(this.#target).catch(() => undefined);
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
