import type { Logger } from '../../../lib/logger.js';
import type { Passed } from '../../access/gate.js';
import type { Gates } from '../../access/gates.js';
import { PAGES } from '../../pages/pages.js';
import type { Exchange } from './exchange/exchange.js';
import { respondWith } from './exchange/own-response.js';

/** The gates as requests see them. */
export type RequestGates = Pick<Gates, 'ask' | 'repeat' | 'redact'>;

/** Every request passes. */
export const OPEN: RequestGates = {
  ask: (exchange) => exchange,
  repeat: (exchange) => exchange,
  redact: (headers) => headers,
};

/**
 * Asks the gates about a request, and calls `pass` with what they let through: at once, unless a gate needs time. A gate that
 * fails must let nothing through.
 */
export function askGates(
  exchange: Exchange,
  ask: (exchange: Exchange) => Passed | Promise<Passed>,
  pass: (passed: Exchange) => void,
  log: Logger,
): void {
  let passed: Passed | Promise<Passed>;
  try {
    passed = ask(exchange);
  } catch (error) {
    return gateFailed(exchange, error, log);
  }
  if (!(passed instanceof Promise)) return passed && pass(passed);
  let isGone = false;
  exchange.onDisconnect(() => (isGone = true));
  passed.then(
    (later) => later && !isGone && pass(later),
    (error: unknown) => gateFailed(isGone ? undefined : exchange, error, log),
  );
}

function gateFailed(exchange: Exchange | undefined, error: unknown, log: Logger): void {
  log.error({ err: error }, 'a gate failed');
  if (exchange?.begun) exchange.abort();
  else if (exchange) respondWith(exchange, PAGES.gateFailed);
}
