import type { Socket } from 'node:net';
import { asPortalError } from '../../../lib/errors.js';
import type { Target } from '../../../net/target.js';
import type { Speaks, TargetProtocols } from '../../speaks.js';
import type { TargetTls } from '../../spec.js';
import { connectTarget } from '../../upstream.js';
import type { HttpBounds } from './bounds.js';
import type { Dial } from './dial.js';
import { BusyError, type Forwarding } from './forward.js';
import { BodyRequests } from './upstream-body.js';
import { H2Requests } from './upstream-h2.js';
import { PlainRequests } from './upstream-plain.js';

/** gRPC needs HTTP/2 all the way, for its trailers; grpc-web, by its design, does not. */
const GRPC = /^application\/grpc(?:[+;]|$)/i;

/** What a handler needs to know of its targets; `TargetProtocols` finds it out. */
export type Protocols = Pick<TargetProtocols, 'speaks' | 'learn' | 'forget' | 'doubt'>;

/**
 * The connections to one target, and which of them a request takes: HTTP/1.1 through undici where there is no body
 * (fast), through node:http where there is (it sends the head at once, passes `100 Continue` and trailers), and HTTP/2
 * for gRPC and for targets that speak nothing else.
 */
export class Upstream {
  readonly dial: Dial;
  readonly #target: Target;
  readonly #bounds: HttpBounds;
  readonly #protocols: Protocols;
  readonly #plain: PlainRequests;
  readonly #body: BodyRequests;
  readonly #h2: H2Requests;
  #active = 0;
  #closing = false;

  constructor(target: Target, tls: TargetTls, bounds: HttpBounds, protocols: Protocols) {
    this.#target = target;
    this.#bounds = bounds;
    this.#protocols = protocols;
    this.dial = (alpn) => this.#dial(tls, alpn);
    this.#plain = new PlainRequests(
      this.dial,
      bounds,
      (forwarding, error) => void this.#notH1(forwarding, error),
    );
    this.#body = new BodyRequests(this.dial, bounds);
    this.#h2 = new H2Requests(target, this.dial, bounds);
  }

  send(forwarding: Forwarding): void {
    if (this.#active >= this.#bounds.maxAtTarget) {
      this.#active++;
      return forwarding.fail(new BusyError('too many requests at the target'));
    }
    this.#active++;
    try {
      this.#start(forwarding);
    } catch (error) {
      // Something about the request that no client of ours would write: it must end this request, and nothing else.
      forwarding.fail(error);
    }
  }

  #start(forwarding: Forwarding): void {
    const { body, headers, expectsContinue } = forwarding.exchange;
    if (this.#protocols.speaks(this.#target) === 'h2') this.#h2.send(forwarding);
    else if (body === undefined && !expectsContinue) this.#plain.send(forwarding);
    else if (isGrpc(headers)) void this.#sendGrpc(forwarding);
    else this.#body.send(forwarding);
  }

  /** One of its requests is over. */
  done(): void {
    this.#active--;
    if (this.#closing && this.#active === 0) this.destroy();
  }

  /** No request comes any more; those under way finish. */
  close(): void {
    this.#closing = true;
    if (this.#active === 0) this.destroy();
  }

  destroy(): void {
    this.#plain.destroy();
    this.#body.destroy();
    this.#h2.destroy();
  }

  async #dial(tls: TargetTls, alpn: 'h2' | 'http/1.1'): Promise<Socket> {
    try {
      return await connectTarget(this.#target, { tls, alpn: [alpn] });
    } catch (error) {
      if (asPortalError(error).code === 'target_down') this.#protocols.forget(this.#target);
      throw error;
    }
  }

  async #sendGrpc(forwarding: Forwarding): Promise<void> {
    const speaks: Speaks | undefined = await this.#protocols.learn(this.#target);
    if (speaks === 'h2' || speaks === 'both') return this.#h2.send(forwarding);
    try {
      this.#body.send(forwarding);
    } catch (error) {
      forwarding.fail(error);
    }
  }

  /** Its answer was not HTTP/1.1; it may be HTTP/2, and nothing but. */
  async #notH1(forwarding: Forwarding, error: unknown): Promise<void> {
    const known = this.#protocols.speaks(this.#target);
    if (known) this.#protocols.doubt(this.#target);
    else if ((await this.#protocols.learn(this.#target)) === 'h2') return this.#h2.send(forwarding);
    return forwarding.fail(error);
  }
}

function isGrpc(headers: readonly string[]): boolean {
  for (let i = 0; i < headers.length; i += 2) {
    if (headers[i]!.length === 12 && headers[i]!.toLowerCase() === 'content-type')
      return GRPC.test(headers[i + 1]!);
  }
  return false;
}
