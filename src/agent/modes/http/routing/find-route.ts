import type { Page } from '../../../pages/page.js';
import { PAGES } from '../../../pages/pages.js';
import type { Exchange } from '../exchange/exchange.js';
import { isForUs } from './for-us.js';
import { isWellFormed } from './paths.js';
import type { Route, RouteTable } from './routes.js';

/**
 * Targets respond to these methods with the received request, and visitors must not see header fields that a route
 * sets (RFC 9110, 9.3.8).
 */
const ECHOING: ReadonlySet<string> = new Set(['TRACE', 'TRACK']);

/** The route of a request that passed the gates, or the page that rejects it. `options`: it asks about the whole server. */
export function findRoute(
  exchange: Pick<Exchange, 'method' | 'target' | 'authority' | 'client'>,
  table: Pick<RouteTable, 'find'>,
): Route | Page | 'options' {
  const { method, target } = exchange;
  if (!isForUs(exchange)) return PAGES.misdirected;
  if (target === '*' && method === 'OPTIONS') return 'options';
  if (ECHOING.has(method)) return PAGES.echoRefused;
  if (!isWellFormed(target)) return PAGES.badRequest;
  const route = table.find(target);
  if (route === 'unsafe') return PAGES.unsafePath;
  return route ?? PAGES.noRoute;
}
