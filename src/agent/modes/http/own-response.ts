import { formatted, type Page } from '../../pages.js';
import { respond, valuesOf, type Exchange } from './exchange.js';

/** Responds with one of Portal's own pages, in the format that the visitor asks for, and ends the exchange. */
export function respondWith(exchange: Exchange, page: Page): void {
  const { code, title, status, reason } = page;
  exchange.onOwnResponse?.({ code, title });
  const { headers, body } = formatted(page, valuesOf(exchange, 'accept'));
  respond(exchange, status, reason, headers, body);
}
