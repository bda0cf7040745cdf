import { valuesOf, type Exchange } from '../modes/http/exchange/exchange.js';
import { HTTP_LIMITS } from '../modes/http/limits.js';
import { respondWith } from '../modes/http/exchange/own-response.js';
import { readBody, ReadExchange, type ReadResult } from '../modes/http/exchange/read-body.js';
import { PAGES } from '../pages/pages.js';
import { notSigned } from './gate-pages.js';
import type { ServiceSpec, WebhookSpec } from '../spec.js';
import type { Gate, GateOptions, Passed } from './gate.js';
import type { Rejections } from './rejections.js';
import { checkHead, verifySignature, type SignatureProblem } from './webhook-signature.js';

/** GitHub sends the longest webhooks, of up to 25 MB. */
const MAX_BODY_BYTES = 25 * 1024 * 1024;
/** Limit of all bodies of one service that wait for their end. One network may have one of the longest. */
const MAX_TOTAL_BYTES = 200 * 1024 * 1024;
/** Timeout of a body. */
const BODY_MS = 120_000;

/** Verifies the signature of each webhook before the target gets it. */
export class WebhookGate implements Gate {
  readonly #rejections: Rejections;
  #spec: WebhookSpec | undefined;
  #bytes = 0;
  /** The same by the sender's network, so that one sender does not block others. */
  readonly #byNetwork = new Map<string, number>();

  constructor({ spec, rejections }: GateOptions) {
    this.#rejections = rejections;
    this.#spec = spec.access.webhook;
  }

  ask(exchange: Exchange): Passed | Promise<Passed> {
    return this.#spec ? this.#verify(exchange, this.#spec) : exchange;
  }

  /** Each request is verified, so connections may stay, except WebSockets that no signature has opened. */
  update({ access: { webhook } }: ServiceSpec): boolean {
    const isNew = webhook !== undefined && this.#spec === undefined;
    this.#spec = webhook;
    return isNew;
  }

  async #verify(exchange: Exchange, spec: WebhookSpec): Promise<Passed> {
    const field = (name: string): string => valuesOf(exchange, name);
    const early = checkHead(field, spec, Date.now() / 1_000);
    if (early !== undefined) return this.#reject(exchange, early);
    const read = await this.#read(exchange);
    if (read.kind === 'gone') return undefined;
    if (read.kind !== 'whole') {
      respondWith(exchange, read.kind === 'long' ? PAGES.bodyTooLarge : PAGES.busy);
      return undefined;
    }
    const { bytes: body } = read;
    const problem = verifySignature({ field, body }, spec, Date.now() / 1_000);
    return problem === undefined ? new ReadExchange(exchange, body) : this.#reject(exchange, problem);
  }

  async #read(exchange: Exchange): Promise<ReadResult> {
    const { network } = exchange.client;
    let held = 0;
    const add = (bytes: number): number => {
      held += bytes;
      this.#bytes += bytes;
      const ofNetwork = (this.#byNetwork.get(network) ?? 0) + bytes;
      if (ofNetwork === 0) this.#byNetwork.delete(network);
      else this.#byNetwork.set(network, ofNetwork);
      return ofNetwork;
    };
    const read = await readBody(exchange, {
      maxBytes: MAX_BODY_BYTES,
      idleMs: HTTP_LIMITS.bodyMs,
      totalMs: BODY_MS,
      admit: (bytes) => add(bytes) <= MAX_BODY_BYTES && this.#bytes <= MAX_TOTAL_BYTES,
    });
    add(-held);
    return read;
  }

  #reject(exchange: Exchange, problem: SignatureProblem): undefined {
    this.#rejections.note('webhook', exchange.client.address);
    respondWith(exchange, notSigned(problem));
  }
}
