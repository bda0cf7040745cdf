import { PortalError, systemCode } from '../../../../lib/errors.js';
import type { Page } from '../../../pages/page.js';
import { notRunning, notTrusted, PAGES } from '../../../pages/pages.js';
import type { HttpLimits } from '../limits.js';

/** The target did not start its response in time. */
export class SilentError extends Error {}

/** The visitor delays the target. */
export class StalledError extends Error {}

/** Too many requests at one target. */
export class BusyError extends Error {}

export class HeadTooLargeError extends Error {
  constructor({ maxHeaders, maxHeadBytes }: Pick<HttpLimits, 'maxHeaders' | 'maxHeadBytes'>) {
    super(
      `the target's response has more than ${maxHeaders} header fields, or more than ${maxHeadBytes} bytes of them`,
    );
  }
}

/** The code of `HeadOverflowError` and node:http. */
const OVERFLOW = 'HPE_HEADER_OVERFLOW';

/** Whether a parser gave up because the head of the response is too large. */
export const isOverflow = (error: unknown): boolean => systemCode(error) === OVERFLOW;

/** The target accepts no connection, so it got nothing. */
export const isDown = (error: unknown): boolean =>
  error instanceof PortalError && error.code === 'target_down';

/** What the visitor sees when an exchange with the target of `service` fails. */
export function failurePage(error: unknown, service: string): Page {
  if (error instanceof HeadTooLargeError) return PAGES.responseTooLarge;
  if (error instanceof BusyError) return PAGES.busy;
  if (error instanceof StalledError) return PAGES.requestTimeout;
  if (error instanceof SilentError) return PAGES.silent;
  if (isDown(error)) return notRunning(service);
  if (error instanceof PortalError && error.code === 'target_untrusted') return notTrusted(service);
  return PAGES.badGateway;
}
