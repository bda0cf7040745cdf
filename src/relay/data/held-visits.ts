import type { FromRelay } from '../../protocol/messages.js';

type Message = FromRelay<'dial' | 'visit'>;

/**
 * Sends messages about data connections to an agent. A visit waits until the agent knows its lease: other nodes hear of a lease,
 * and serve their waiting visitors, before this node has reserved its name and responded.
 */
export class HeldVisits {
  readonly #send: (message: Message) => void;
  /** Requests for leases without a response. */
  #opening = 0;
  /** Leases that the agent knows. */
  readonly #known = new Set<string>();
  #held: FromRelay<'visit'>[] = [];

  constructor(send: (message: Message) => void) {
    this.#send = send;
  }

  send(message: Message): void {
    const mustWait = message.type === 'visit' && this.#opening > 0 && !this.#known.has(message.lease);
    if (mustWait) this.#held.push(message);
    else this.#send(message);
  }

  /** Call when the agent requests a lease. */
  opening(): void {
    this.#opening++;
  }

  /** Call after the response to such a request, with the lease if there is one. */
  answered(lease?: string): void {
    this.#opening--;
    if (lease !== undefined) this.#known.add(lease);
    const held = this.#held.splice(0);
    // Without a request, no lease is missing.
    for (const visit of held) this.send(visit);
  }

  /** Call when the agent no longer has a lease. */
  forget(lease: string): void {
    this.#known.delete(lease);
  }
}
