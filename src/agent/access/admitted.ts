import { ExchangeAround } from '../modes/http/exchange/exchange-around.js';
import { withoutField, type Exchange, type Headers } from '../modes/http/exchange/exchange.js';

/** Header fields that name the visitor to the target. Visitors cannot send them (`forbidden-fields.ts`). */
export const USER_FIELD = 'X-Portal-User';
export const EMAIL_FIELD = 'X-Portal-Email';

/** The exchange of a visitor that a gate has identified. */
export class AdmittedExchange extends ExchangeAround {
  /**
   * @param forTarget header fields that identify the visitor to the target
   * @param stripped the name of a header field for the gate alone, in lower case
   */
  constructor(inner: Exchange, forTarget: Headers, stripped?: string) {
    super(inner, {
      body: inner.body,
      expectsContinue: inner.expectsContinue,
      headers: stripped === undefined ? inner.headers : withoutField(inner.headers, stripped),
      identity: [...(inner.identity ?? []), ...forTarget],
    });
  }
}
