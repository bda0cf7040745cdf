import { worded, type Page } from '../../pages.js';
import { answer, valuesOf, type Exchange } from './exchange.js';

/** Answers with a page of Portal's own, in the form that the visitor asks for, and is done with the exchange. */
export function answerWith(exchange: Exchange, page: Page): void {
  const { code, title, status, reason } = page;
  exchange.onOwnAnswer?.({ code, title });
  const { headers, body } = worded(page, valuesOf(exchange, 'accept'));
  answer(exchange, status, reason, headers, body);
}
