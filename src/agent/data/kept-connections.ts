import { LIMITS } from '../../protocol/limits.js';
import type { WireCarrier } from '../../protocol/messages.js';
import type { SharedConnection } from './data-connection.js';

interface Kept {
  readonly carrier: WireCarrier;
  readonly connection: SharedConnection;
  readonly forget: () => void;
}

/** The data connections of one control channel that have served a visitor and can serve another one. */
export class KeptConnections {
  /** Oldest first. The newest is used first. */
  readonly #kept: Kept[] = [];
  #isClosed = false;

  /** Keeps a connection for a while; false if it is not needed. */
  add(carrier: WireCarrier, connection: SharedConnection): boolean {
    if (this.#isClosed || this.#kept.length >= LIMITS.maxIdleDataConnections) return false;
    const timer = setTimeout(() => connection.destroy(), LIMITS.keptDataConnectionMs).unref();
    const forget = (): void => {
      clearTimeout(timer);
      const at = this.#kept.indexOf(kept);
      if (at >= 0) this.#kept.splice(at, 1);
    };
    const kept = { carrier, connection, forget };
    connection.onClosed = forget;
    this.#kept.push(kept);
    return true;
  }

  /** Takes a connection for `ticket`. Prefers none to one at a node of the relay that did not issue the ticket. */
  take(carrier: WireCarrier, ticket: string): SharedConnection | undefined {
    const kept = this.#kept.findLast(
      (each) => each.carrier === carrier && ticket.startsWith(each.connection.tag),
    );
    kept?.forget();
    return kept?.connection;
  }

  /** Closes all of them, and keeps no more. */
  close(): void {
    this.#isClosed = true;
    for (const { connection } of this.#kept.splice(0)) connection.destroy();
  }
}
