import { summaryOf } from '../../agent/session/phase.js';
import type { PortalError } from '../../lib/errors.js';
import type { PortalEvent, UnplacedStatus } from '../events.js';

/** Owns the list of services without a relay, and reports each once per reason. */
export class Unplaced {
  readonly #emit: (event: PortalEvent) => void;
  #services: readonly UnplacedStatus[] = [];

  constructor(emit: (event: PortalEvent) => void) {
    this.#emit = emit;
  }

  get status(): readonly UnplacedStatus[] {
    return this.#services;
  }

  /** @param services the services without a relay now */
  follow(services: readonly string[], why: (service: string) => PortalError): void {
    const before = new Map(this.#services.map((one) => [one.service, one]));
    this.#services = services.map((service) => {
      const error = summaryOf(why(service));
      const known = before.get(service);
      if (known?.error.message !== error.message) this.#emit({ event: 'unplaced', service, error });
      return { service, since: known?.since ?? new Date().toISOString(), error };
    });
  }
}
