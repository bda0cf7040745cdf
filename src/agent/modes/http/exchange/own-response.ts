import { formatted, OWN_HEADERS, type Page } from '../../../pages/page.js';
import { respond, valuesOf, type Exchange, type Headers } from './exchange.js';

/** Responds with one of Portal's own pages, in the format that the visitor asks for, and ends the exchange. */
export function respondWith(exchange: Exchange, page: Page): void {
  const { code, title, status, reason } = page;
  exchange.onOwnResponse?.({ code, title });
  const { headers, body } = formatted(page, valuesOf(exchange, 'accept'));
  respond(exchange, status, reason, headers, body);
}

/** Redirects to `to` with GET (303), and ends the exchange. `as`: what the inspector shows. */
export function redirectWith(
  exchange: Exchange,
  as: Pick<Page, 'code' | 'title'>,
  to: string,
  headers: Headers = [],
): void {
  exchange.onOwnResponse?.(as);
  respond(exchange, 303, 'See Other', [...OWN_HEADERS, 'Location', to, ...headers], '');
}

/** Responds to `OPTIONS *`, which refers to the whole server: that is Portal. */
export function respondToAsterisk(exchange: Exchange): void {
  exchange.onOwnResponse?.({ code: 'options', title: 'OPTIONS for the whole server' });
  respond(exchange, 204, 'No Content', ['Cache-Control', 'no-store'], '');
}
