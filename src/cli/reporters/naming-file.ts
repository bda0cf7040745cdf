import type { ErrorSummary } from '../../agent/status.js';
import { rewording, type Reporter, type TimedEvent } from './reporter.js';

/** A reporter whose hints name the configuration in their commands. */
export function namingFile(reporter: Reporter, hinted: (hint: string) => string): Reporter {
  const named = <Hinted extends { readonly hint?: string }>(each: Hinted): Hinted =>
    each.hint === undefined ? each : { ...each, hint: hinted(each.hint) };
  return rewording(reporter, { event: (event) => eventWith(event, named), problem: named });
}

function eventWith(
  event: TimedEvent,
  named: <Hinted extends { readonly hint?: string }>(each: Hinted) => Hinted,
): TimedEvent {
  if (event.event === 'rejected') return { ...event, errors: event.errors.map(named) };
  const { error } = event as { readonly error?: ErrorSummary | string };
  return typeof error === 'object' ? ({ ...event, error: named(error) } as TimedEvent) : event;
}
