import { deferred } from '../../lib/wait.js';
import type { OwnResponse } from '../inspect/wire.js';
import { OwnExchange } from '../modes/http/exchange/own-exchange.js';
import type { Outcome } from './handlers.js';
import type { HeldRequest } from './store.js';

/** In the response to the sender, and in the request to the target: the id of the held request. */
export const HELD_FIELD = 'X-Portal-Held';
/** For the target: when Portal received the request (RFC 3339). */
const SINCE_FIELD = 'X-Portal-Held-Since';
/** For the target: 1 in the first request with this id. A target that gets 2 may have got the request before. */
const ATTEMPT_FIELD = 'X-Portal-Attempt';

/** Delivers a held request through everything behind the gates, which it passed when it arrived. */
export class DeliveryExchange extends OwnExchange {
  override readonly deliveryOf: number | undefined;
  readonly #outcome = deferred<Outcome>();
  #status: number | undefined;
  #own: OwnResponse | undefined;

  constructor(request: HeldRequest, body: Buffer, attempt: number, ms: number) {
    super({
      ...request,
      passedAs: [
        ...(request.identity ?? []),
        HELD_FIELD,
        request.id,
        SINCE_FIELD,
        new Date(request.heldAt).toISOString(),
        ATTEMPT_FIELD,
        String(attempt),
      ],
      address: request.remote,
      body,
      ms,
    });
    this.deliveryOf = request.recordedAs;
  }

  /** Resolves once the target has responded, or the delivery has failed. */
  get outcome(): Promise<Outcome> {
    return this.#outcome.promise;
  }

  override begin(status: number): void {
    super.begin(status);
    this.#status = status;
  }

  onOwnResponse(why: OwnResponse): void {
    this.#own = why;
  }

  protected override ended(): void {
    this.#outcome.resolve(outcomeOf(this.#status, this.#own));
  }
}

function outcomeOf(status: number | undefined, own: OwnResponse | undefined): Outcome {
  if (own) return own.code === 'target_down' ? { kind: 'down' } : { kind: 'failed', reason: own.title };
  if (status === undefined) return { kind: 'failed', reason: 'the target did not respond' };
  if (status >= 500) return { kind: 'failed', reason: `the target responded with ${status}` };
  return { kind: 'delivered', status };
}
