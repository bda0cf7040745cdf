import type { Logger } from '../../../lib/logger.js';
import { asPortalError } from '../../../lib/errors.js';
import { DeliveryExchange, HELD_FIELD } from '../../hold/delivery.js';
import type { Delivering } from '../../hold/handlers.js';
import type { HeldRequests } from '../../hold/held-requests.js';
import type { Room } from '../../hold/space.js';
import type { Page } from '../../pages/page.js';
import { held as heldPage, holdFull, notRunning } from '../../pages/pages.js';
import type { Exchange } from './exchange/exchange.js';
import type { Hold } from './forward.js';
import type { HttpLimits } from './limits.js';
import { respondWith } from './exchange/own-response.js';
import { readBody } from './exchange/read-body.js';
import { isGrpc } from './request.js';
import { nameOf, type Route } from './routing/routes.js';

/** Timeout of a body. */
const BODY_MS = 120_000;

export interface HoldingOptions {
  readonly held: HeldRequests;
  readonly limits: HttpLimits;
  /** Sends a request to the target of its route. */
  readonly serve: (exchange: Exchange) => void;
  readonly log: Logger;
}

/** Holds the requests of one handler's routes with `hold`, and delivers them. */
export class Holding {
  readonly #options: HoldingOptions;
  readonly #deliveries = new Set<Promise<unknown>>();
  #service = '';
  #delivering: Delivering | undefined;

  constructor(options: HoldingOptions) {
    this.#options = options;
  }

  /** Also routes without `hold` deliver what they held before. */
  update(service: string, routes: Iterable<Route>): void {
    const names = new Set([...routes].map(nameOf));
    if (this.#delivering && service === this.#service) this.#delivering.routes = names;
    else {
      this.#delivering?.close();
      this.#service = service;
      const { held, serve } = this.#options;
      this.#delivering = held.deliverWith(service, names, (request, body, attempt) => {
        const exchange = new DeliveryExchange(request, body, attempt, held.limits.deliverMs);
        serve(exchange);
        this.#deliveries.add(exchange.outcome);
        return exchange.outcome.finally(() => this.#deliveries.delete(exchange.outcome));
      });
    }
  }

  /** Starts no more deliveries. Resolves once those in progress have ended. */
  async close(): Promise<void> {
    this.#delivering?.close();
    await Promise.all(this.#deliveries);
  }

  /**
   * How to hold this request if the target is down. `taken`: it is held now, behind the requests that wait. Undefined if requests
   * like this are not held.
   */
  take(exchange: Exchange, route: Route): Hold | 'taken' | undefined {
    const { holdMs } = route;
    const { held } = this.#options;
    if (holdMs === undefined || !held.isOpen || !isHeld(exchange)) return undefined;
    if (held.isWaiting(this.#service, nameOf(route))) {
      void this.#hold(exchange, route, holdMs, []);
      return 'taken';
    }
    const { maxBodyBytes } = held.limits;
    return { maxBodyBytes, with: (read) => void this.#hold(exchange, route, holdMs, read) };
  }

  async #hold(exchange: Exchange, route: Route, holdMs: number, before: readonly Buffer[]): Promise<void> {
    const { held, log } = this.#options;
    const room = held.enter(this.#service);
    if (!room) return respondWith(exchange, holdFull(this.#service));
    try {
      const page = await this.#store(exchange, route, holdMs, before, room);
      if (page) respondWith(exchange, page);
    } catch (error) {
      log.error(
        { route: nameOf(route), reason: asPortalError(error).message },
        'a request could not be held',
      );
      if (!exchange.begun) respondWith(exchange, notRunning(this.#service));
    } finally {
      held.leave(room);
    }
  }

  /** The response; undefined if the sender has disconnected. */
  async #store(
    exchange: Exchange,
    route: Route,
    holdMs: number,
    before: readonly Buffer[],
    room: Room,
  ): Promise<Page | undefined> {
    const { held, limits } = this.#options;
    const { client, method, target, authority, version, headers, identity, recordedAs } = exchange;
    const read = before.reduce((sum, { length }) => sum + length, 0);
    const headBytes = headers.reduce((sum, { length }) => sum + length, target.length);
    if (!room.add(read + headBytes)) return holdFull(this.#service);
    const body = await readBody(exchange, {
      maxBytes: held.limits.maxBodyBytes,
      idleMs: limits.bodyMs,
      totalMs: BODY_MS,
      before,
      admit: (bytes) => room.add(bytes),
    });
    if (body.kind === 'gone') return undefined;
    if (body.kind !== 'whole')
      return body.kind === 'long' ? notRunning(this.#service) : holdFull(this.#service);
    const id = await held.hold(
      {
        service: this.#service,
        route: nameOf(route),
        method,
        target,
        authority,
        hostname: client.hostname,
        remote: client.address,
        version,
        headers,
        ...(identity && { identity }),
        ...(recordedAs !== undefined && { recordedAs }),
        bodyBytes: body.bytes.length,
      },
      body.bytes,
      holdMs,
      room,
    );
    return heldPage(this.#service, holdMs, [HELD_FIELD, id]);
  }
}

/** Only POST: senders of other methods need the response. What the owner repeats is not held, nor a call of gRPC. */
function isHeld({ method, client, headers, upgrade }: Exchange): boolean {
  return method === 'POST' && client.socket !== undefined && upgrade === undefined && !isGrpc(headers);
}
