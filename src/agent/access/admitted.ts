import { ExchangeAround } from '../modes/http/exchange-around.js';
import type { Exchange, Headers } from '../modes/http/exchange.js';

/** Header fields that name the visitor to the target. Visitors cannot send them (`forbidden-fields.ts`). */
export const USER_FIELD = 'X-Portal-User';
export const EMAIL_FIELD = 'X-Portal-Email';

/** The exchange of a visitor that a gate has identified. */
export class AdmittedExchange extends ExchangeAround {
  /**
   * @param stripped names of header fields for the gate alone, in lower case
   * @param forTarget header fields that identify the visitor to the target
   */
  constructor(inner: Exchange, stripped: readonly string[], forTarget: Headers) {
    super(inner, {
      body: inner.body,
      expectsContinue: inner.expectsContinue,
      headers: inner.headers.filter((_, i) => !stripped.includes(inner.headers[i - (i % 2)]!.toLowerCase())),
      identity: [...(inner.identity ?? []), ...forTarget],
    });
  }
}
