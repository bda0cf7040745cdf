import { asPortalError } from '../../lib/errors.js';
import type { WireCarrier } from '../../protocol/messages.js';
import type { LocalLease } from '../leases/lease.js';
import type { Tallies } from '../tallies.js';
import type { Visitor } from '../visitors/visitor.js';
import type { VisitorGate } from '../visitors/visitors.js';
import type { Links } from './links.js';

export interface ForwardingOptions {
  readonly links: Links;
  readonly gate: Pick<VisitorGate, 'forward'>;
  readonly tallies: Pick<Tallies, 'forwardsFailed'>;
}

/** Forwards visitors in the queue to other nodes, where data connections of their agent arrive. */
export class Forwarding {
  readonly #options: ForwardingOptions;

  constructor(options: ForwardingOptions) {
    this.#options = options;
  }

  /**
   * Forwards the visitors of a lease to the first of `nodes` that takes them, unless a data connection arrives first. Calls
   * `onFailed` for each visitor that no node takes: it waits for a data connection again.
   */
  forwardAll(lease: LocalLease, nodes: readonly string[], onFailed: (carrier: WireCarrier) => void): void {
    for (const visitor of lease.waiting.all()) {
      if (!visitor.canBeForwarded) continue;
      visitor.forwarding = true;
      void this.#forward(visitor, nodes, onFailed);
    }
  }

  async #forward(
    visitor: Visitor,
    nodes: readonly string[],
    onFailed: (carrier: WireCarrier) => void,
  ): Promise<void> {
    const { links, gate, tallies } = this.#options;
    const { carrier, remote, lease } = visitor;
    const { place, epoch } = lease.record;
    for (const node of nodes) {
      try {
        const link = await links.connect(node, { visitor: { place, epoch, carrier, remote } });
        return gate.forward(visitor, link);
      } catch (error) {
        const isRejected = asPortalError(error).code === 'not_found';
        tallies.forwardsFailed.add(isRejected ? 'rejected' : 'unreachable');
      }
    }
    visitor.forwarding = false;
    onFailed(carrier);
  }
}
