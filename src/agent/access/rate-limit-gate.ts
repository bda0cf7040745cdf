import { isDeepStrictEqual } from 'node:util';
import { TokenBuckets } from '../../lib/token-bucket.js';
import type { Exchange } from '../modes/http/exchange/exchange.js';
import { respondWith } from '../modes/http/exchange/own-response.js';
import { tooMany } from './gate-pages.js';
import type { RateLimitSpec, ServiceSpec } from '../spec.js';
import type { Gate, GateOptions, Passed } from './gate.js';
import { perSecond } from './kinds.js';
import type { Rejections } from './rejections.js';

/** Limit of remembered visitors. */
const MAX_VISITORS = 10_000;

/** Limits the rate of each visitor's network. */
export class RateLimitGate implements Gate {
  readonly #rejections: Rejections;
  #spec: RateLimitSpec | undefined;
  #buckets: TokenBuckets | undefined;

  constructor({ spec, rejections }: GateOptions) {
    this.#rejections = rejections;
    this.#set(spec.access.rateLimit);
  }

  ask(exchange: Exchange): Passed {
    const { network, address } = exchange.client;
    const waitMs = this.#buckets?.take(network) ?? 0;
    if (waitMs === 0) return exchange;
    this.#rejections.note('rate', address);
    respondWith(exchange, tooMany('requests', waitMs));
    return undefined;
  }

  update({ access: { rateLimit } }: ServiceSpec): boolean {
    if (!isDeepStrictEqual(rateLimit, this.#spec)) this.#set(rateLimit);
    return false;
  }

  #set(spec: RateLimitSpec | undefined): void {
    this.#spec = spec;
    this.#buckets =
      spec && new TokenBuckets({ perSecond: perSecond(spec), burst: spec.burst, maxKeys: MAX_VISITORS });
  }
}
