import { valuesOf, type Exchange } from '../modes/http/exchange.js';
import { HTTP_LIMITS } from '../modes/http/limits.js';
import { respondWith } from '../modes/http/own-response.js';
import { readBody, ReadExchange } from '../modes/http/read-body.js';
import { notSigned, PAGES } from '../pages.js';
import type { ServiceSpec, WebhookSpec } from '../spec.js';
import type { Gate, GateOptions, Passed } from './gate.js';
import type { Rejections } from './rejections.js';
import { verifySignature } from './webhook-signature.js';

/** GitHub sends the longest webhooks, of up to 25 MB. */
const MAX_BODY_BYTES = 25 * 1024 * 1024;
/** Limit of all bodies of one service that wait for their end. */
const MAX_TOTAL_BYTES = 100 * 1024 * 1024;

/** Verifies the signature of each webhook before the target gets it. */
export class WebhookGate implements Gate {
  readonly #rejections: Rejections;
  #spec: WebhookSpec | undefined;
  #bytes = 0;

  constructor({ spec, rejections }: GateOptions) {
    this.#rejections = rejections;
    this.#spec = spec.access.webhook;
  }

  ask(exchange: Exchange): Passed | Promise<Passed> {
    return this.#spec ? this.#verify(exchange, this.#spec) : exchange;
  }

  /** Each request is verified, so connections may stay. */
  update({ access: { webhook } }: ServiceSpec): boolean {
    this.#spec = webhook;
    return false;
  }

  async #verify(exchange: Exchange, spec: WebhookSpec): Promise<Passed> {
    let held = 0;
    const read = await readBody(exchange, {
      maxBytes: MAX_BODY_BYTES,
      idleMs: HTTP_LIMITS.bodyMs,
      admit: (bytes) => {
        held += bytes;
        this.#bytes += bytes;
        return this.#bytes <= MAX_TOTAL_BYTES;
      },
    });
    this.#bytes -= held;
    if (read.kind === 'gone') return undefined;
    if (read.kind !== 'whole') {
      respondWith(exchange, read.kind === 'long' ? PAGES.bodyTooLarge : PAGES.busy);
      return undefined;
    }
    const request = { field: (name: string) => valuesOf(exchange, name), body: read.bytes };
    const problem = verifySignature(request, spec, Date.now() / 1_000);
    if (problem === undefined) return new ReadExchange(exchange, read.bytes);
    this.#rejections.note('webhook', exchange.client.address);
    respondWith(exchange, notSigned(problem));
    return undefined;
  }
}
