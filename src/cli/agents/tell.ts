import type { PortalError } from '../../lib/errors.js';
import { summarizeError } from '../failure.js';
import type { Context } from '../context.js';
import { printEvent } from '../print.js';
import { describeError } from '../reporters/describe.js';
import { printable } from '../style.js';
import type { RelaysToAsk } from './relays.js';

/** Relays of the configuration that were not asked. */
export function tellLeftOut(context: Context, { relays, leftOut, embeddedOnlyIn }: RelaysToAsk): void {
  if (context.json) return;
  for (const { relay, why } of leftOut) context.stderr.line(`${printable(relay)} is not asked: ${why}`);
  if (embeddedOnlyIn !== undefined)
    context.stderr.line(
      `${printable(embeddedOnlyIn)} names no remote relay. See the embedded relay with \`portal status\`.`,
    );
  else if (relays.length === 0)
    context.stderr.line('There is no relay to ask. Name one, for example --relay https://relay.example.com');
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
