import type { PortalError } from '../../lib/errors.js';
import { summarizeError } from '../failure.js';
import type { Context } from '../context.js';
import { printEvent } from '../print.js';
import { describeError } from '../reporters/describe.js';
import { printable } from '../style.js';
import type { RelaysToAsk } from './relays.js';

/** Relays of the configuration that were not asked. */
export function tellLeftOut(context: Context, { relays, leftOut }: RelaysToAsk): void {
  if (context.json) return;
  for (const { relay, why } of leftOut) context.stderr.line(`${printable(relay)} is not asked: ${why}`);
  if (relays.length === 0) context.stderr.line('there is no relay to ask');
}

/** Those that did not answer, or refused. */
export function tellUnanswered(
  context: Context,
  failed: readonly { readonly relay: string; readonly error: PortalError }[],
): void {
  for (const { relay, error } of failed) {
    if (context.json) printEvent(context, 'error', { relay, ...summarizeError(error) });
    else {
      const { code, message, hint } = error;
      const words = describeError({ code, message, ...(hint !== undefined && { hint }) });
      context.stderr.line(message.includes(relay) ? words : `${printable(relay)}: ${words}`);
    }
  }
}
