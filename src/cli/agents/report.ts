import type { PortalError } from '../../lib/errors.js';
import { summarizeError } from '../failure.js';
import type { Context } from '../context.js';
import { printEvent } from '../print.js';
import { errorLines } from '../reporters/describe.js';
import { printable } from '../text/style.js';
import type { RelaysToQuery } from './relays.js';

/** Prints the relays of the configuration that were not queried. */
export function reportSkipped(context: Context, { relays, skipped, embeddedOnlyIn }: RelaysToQuery): void {
  if (context.json) return;
  for (const { relay, why } of skipped) context.stderr.line(`${printable(relay)} is not queried: ${why}`);
  if (embeddedOnlyIn !== undefined)
    context.stderr.line(
      `${printable(embeddedOnlyIn)} names no relay, and the embedded relay has no list of agents. To see your services, run: portal status`,
    );
  else if (relays.length === 0)
    context.stderr.line(
      'There is no relay to query. Name one, for example --relay https://relay.example.com',
    );
}

/** Prints the relays that failed. */
export function reportFailed(
  context: Context,
  failed: readonly { readonly relay: string; readonly error: PortalError }[],
): void {
  for (const { relay, error } of failed) {
    if (context.json) printEvent(context, 'error', { relay, ...summarizeError(error) });
    else {
      const { code, message, hint } = error;
      const text = errorLines({ code, message, ...(hint !== undefined && { hint }) }).join('\n');
      context.stderr.line(message.includes(relay) ? text : `${printable(relay)}: ${text}`);
    }
  }
}
