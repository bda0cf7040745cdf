import type { AgentStatus, PortalEvent } from '../../reconcile/events.js';
import { formatAge, formatBytes, formatSpan } from '../text/amounts.js';
import { printable, type Style } from '../text/style.js';

export type Held = Extract<PortalEvent, { event: 'held' | 'delivered' | 'expired' }>;

/** Which routes hold requests, and for how long. */
export function describeHold(holdMs: Readonly<Record<string, number>>): string {
  const routes = Object.entries(holdMs).map(([route, ms]) => `${printable(route)} for ${formatSpan(ms)}`);
  return `holds POST requests while its target is down: ${routes.join(', ')}`;
}

/** Requests that wait until their target is back. */
export function describeHeldNow(
  { held = [] }: Pick<AgentStatus, 'held'>,
  style: Style,
  now: number,
): string[] {
  return held.map(({ service, route, waiting, bytes, since, error }) => {
    const where = route === '/' ? service : `${service} ${route}`;
    const what = `${waiting === 1 ? '1 request' : `${waiting} requests`} held, ${formatBytes(bytes)}`;
    const why = error === undefined ? '' : `: ${printable(error)}`;
    return style.yellow(`${printable(where)}: ${what}, for ${formatAge(now - Date.parse(since))}${why}`);
  });
}

/** One line about a held request. It does not say its path, which may have a secret. */
export function describeHeld(event: Held, style: Style): string {
  const name = style.bold(event.service);
  const left = event.waiting === 0 ? 'no other is held' : `${event.waiting} more held`;
  switch (event.event) {
    case 'held':
      return `${name}: ${style.yellow('held a request')} until the target is back (${event.waiting} held)`;
    case 'delivered':
      return `${name}: delivered a held request after ${formatAge(event.heldMs)}: ${event.status} (${left})`;
    default:
      return `${name}: ${style.red('a held request expired')}: ${printable(event.reason)} (${left})`;
  }
}
