import type { PortalEvent } from '../../reconcile/events.js';

/** Which events tell a person something new. */
export class News {
  /** Targets that do not answer. */
  readonly #dead = new Set<string>();
  /** Services that were told to be unhealthy. */
  readonly #unhealthy = new Set<string>();

  isNews(event: PortalEvent): boolean {
    if (event.event === 'target') return this.#isNewVerdict(event);
    return event.event !== 'health' || this.#isNewHealth(event);
  }

  /** Of a target that does not answer nobody needs to hear that it is unhealthy. */
  #isNewHealth({ service, healthy }: Extract<PortalEvent, { event: 'health' }>): boolean {
    if (healthy) return this.#unhealthy.delete(service);
    if ([...this.#dead].some((key) => key.startsWith(`${service} `))) return false;
    this.#unhealthy.add(service);
    return true;
  }

  /** That a target answers is expected, unless it did not before. */
  #isNewVerdict({ service, target, reachable }: Extract<PortalEvent, { event: 'target' }>): boolean {
    const key = `${service} ${target}`;
    if (reachable) return this.#dead.delete(key);
    this.#dead.add(key);
    return true;
  }
}
