import type { PortalEvent } from '../../reconcile/events.js';
import { formatAge } from '../text/amounts.js';
import { printable, type Style } from '../text/style.js';

export type Held = Extract<PortalEvent, { event: 'held' | 'delivered' | 'expired' }>;

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
