import type { HeldRequest } from './store.js';

/** What became of one attempt to deliver a request. */
export type Outcome =
  | { readonly kind: 'delivered'; readonly status: number }
  /** The target accepts no connection, and got nothing. */
  | { readonly kind: 'down' }
  /** The target may have got the request. */
  | { readonly kind: 'failed'; readonly reason: string };

/** Sends a held request to the target of its route. `attempt` counts from 1. Has a timeout. */
export type Deliver = (request: HeldRequest, body: Buffer, attempt: number) => Promise<Outcome>;

/** A handler that delivers the requests of its service. */
export interface Delivering {
  /** The routes of the service now. */
  routes: ReadonlySet<string>;
  close(): void;
}

/** Knows which handlers deliver, because a service may have several leases, and requests may wait without any. */
export class DeliveringHandlers {
  readonly #byService = new Map<string, Map<Delivering, Deliver>>();
  readonly #onRoutes: (service: string) => void;

  /** @param onRoutes called when more routes of `service` may have a handler */
  constructor(onRoutes: (service: string) => void) {
    this.#onRoutes = onRoutes;
  }

  /** Delivers requests of `service` with `deliver` from now on. */
  add(service: string, routes: ReadonlySet<string>, deliver: Deliver): Delivering {
    const handlers = this.#byService.get(service) ?? new Map<Delivering, Deliver>();
    this.#byService.set(service, handlers);
    const changed = (): void => this.#onRoutes(service);
    let present = routes;
    const delivering: Delivering = {
      get routes() {
        return present;
      },
      set routes(next) {
        present = next;
        changed();
      },
      close: () => void handlers.delete(delivering),
    };
    handlers.set(delivering, deliver);
    changed();
    return delivering;
  }

  /** The first handler with the route. Undefined if the route is not running. */
  of(service: string, route: string): Deliver | undefined {
    for (const [{ routes }, deliver] of this.#byService.get(service) ?? [])
      if (routes.has(route)) return deliver;
    return undefined;
  }
}
